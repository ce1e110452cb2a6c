"""A user model with unique addresses: nobody is refused for an address that they do not have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.validators import validate_email

from django_lazyauth.providers.base import Identity
from django_lazyauth.users import placeholder_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NEEDED = "A verified e-mail address is needed to register."


def run(kind, unverified=""):
    done = subprocess.run(
        [sys.executable, "-m", "tests.sign_in.unique_addresses_site"],
        cwd=ROOT,
        env={
            **os.environ,
            "UNIQUE_ADDRESSES": kind,
            "UNVERIFIED_EMAIL": unverified,
            "LAZYAUTH_TEST_DATABASE": "sqlite",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("kind", "absent"),
    [
        ("column-null", None),
        ("constraint-null", None),
        ("lower-null", None),
        ("partial", ""),
        ("with-another-field", ""),
    ],
)
def test_people_without_a_verified_address_register_where_the_column_allows_it(kind, absent):
    """I6: an unverified address is not copied. NULL equals no other NULL; an empty text equals the next one."""
    told = run(kind)
    assert told["refusals"] == ["", "", ""]
    assert told["addresses"] == [absent, absent, "alan@people.example"]
    assert told["warned"] == []


@pytest.mark.parametrize("kind", ["column", "constraint", "lower"])
def test_where_everybody_needs_an_address_the_reason_says_so_and_a_check_said_so_before(kind):
    """The first such person is refused as the second is, and nobody reads that their name exists."""
    told = run(kind)
    assert told["refusals"] == [NEEDED, NEEDED, ""]
    assert told["addresses"] == ["alan@people.example"]
    assert len(told["warned"]) == 1
    assert "'microsoft'" in told["warned"][0]


@pytest.mark.parametrize("kind", ["column", "constraint", "lower"])
def test_people_without_a_verified_address_get_one_that_reaches_nobody_where_the_site_says_so(kind):
    """Two of them are two users. No client is told an address that was made up."""
    told = run(kind, "placeholder")
    assert told["refusals"] == ["", "", ""]
    ada, grace, alan = told["addresses"]
    assert re.fullmatch(r"ada-[0-9a-f]{10}@other\.invalid", ada)
    assert re.fullmatch(r"grace-[0-9a-f]{10}@other\.invalid", grace)
    assert alan == "alan@people.example"
    assert told["claims"] == [[None, None], [None, None], ["alan@people.example", True]]
    assert told["warned"] == []


def test_a_placeholder_is_for_those_only_who_would_be_refused():
    assert run("column-null", "placeholder")["addresses"] == [None, None, "alan@people.example"]


@pytest.mark.parametrize(
    ("provider", "domain", "host"),
    [
        ("acme", "", "acme.invalid"),
        ("acme_eu..1:x", "", "acme-eu-1-x.invalid"),
        ("a" * 64, "", "a" * 63 + ".invalid"),
        ("-", "", "provider.invalid"),
        ("sso:corp.example", "corp.example", "corp.example.invalid"),
        ("sso:" + "a." * 124 + "example", "a." * 124 + "example", None),
    ],
)
def test_a_placeholder_is_an_address_whatever_the_provider_is_called(provider, domain, host):
    address = placeholder_for(Identity(provider, "7", email="Ada@corp.example", sso_domain=domain))
    validate_email(address)
    assert len(address) <= 254
    assert host is None or address.partition("@")[2] == host
