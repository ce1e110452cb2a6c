"""Spec 11: sites that differ from the tests' own in one respect each. A sign-in goes the same way on all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
#: What every host sees.
CORE = {
    "policy": POLICY,
    "redeemed": 200,
    "address": "ada@people.example",
    "refreshed": 200,
    "a second time": 400,
}


def found_at(host: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.site.host_site", host],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "host",
    ["address_users", "asgi", "atomic_requests", "csp", "login_required", "router", "signed_cookies"],
)
def test_a_sign_in_goes_the_same_way_on_every_host(host):
    """I18. With django-csp, the policy of the page is ours, and it is the only one."""
    assert found_at(host) == CORE


def test_a_site_mounted_below_a_path_by_its_proxy_names_that_path_everywhere():
    """``FORCE_SCRIPT_NAME``: the proxy takes the path away, so that no request here has it."""
    found = found_at("script_name")
    assert found.pop("stay below it") == 4
    assert found == CORE | {"token_endpoint": "https://auth.example/oauth/token", "leave the mount": []}


def test_the_lock_of_django_axes_holds_on_the_page_of_the_password_provider():
    assert found_at("axes") == CORE | {
        "right": [303],
        "wrong": [200, 200, 429],
        "right, but too late": [429],
    }


def test_who_signed_in_at_django_allauth_is_known_here():
    assert found_at("allauth") == CORE | {"at allauth": 302, "is known here": True}
