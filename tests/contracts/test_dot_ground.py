"""DOT stays the ground: what a host mounts of it takes our tokens, and our endpoints take the tokens of stock DOT.

At the installed DOT, and at the checkout that ``LAZYAUTH_DOT_PATH`` names. Every warning is an error there too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import migrated

ROOT = Path(__file__).parents[2]
CHECKOUT = os.environ.get("LAZYAUTH_DOT_PATH", "")
DESCRIBED = {"active": True, "client_id": "app", "scope": "openid read", "username": "ada"}


@pytest.fixture(scope="module", params=["installed", "checkout"] if CHECKOUT else ["installed"])
def seen(request, tmp_path_factory):
    """Return what every endpoint answered, in a process that imports this DOT."""
    path = CHECKOUT if request.param == "checkout" else ""
    database = tmp_path_factory.mktemp("site") / "site.sqlite3"
    migrated.copy_to(database)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.contracts.dot_ground", str(database)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["dot"].startswith(path)
    return found


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_the_resource_server_of_dot_takes_our_tokens(seen, token_format):
    answers = seen[f"ours, {token_format}"]
    assert answers == {
        "is_jwt": token_format == "jwt",
        "OAuth2Authentication": [200, "ada"],
        "TokenHasScope": [200, "ada"],
        "TokenHasScope without the scope": 403,
        "protected_resource": [200, "ada"],
        "protected_resource without the scope": 403,
        "introspection": DESCRIBED,
        "introspection by a client whose secret was upgraded here": DESCRIBED,
        "after the end of the session": [401, 403, {"active": False}],
    }


def test_our_endpoints_take_the_tokens_of_stock_dot(seen):
    answers = seen["stock"]
    assert answers["bearer"] == [200, "ada"]
    assert answers["userinfo"] == [200, "1"]
    assert answers["introspection"] == DESCRIBED
    assert answers["refresh"] == 200
    assert answers["the refresh token again"] == 400


@pytest.mark.parametrize("token", ["access_token", "refresh_token"])
def test_revocation_here_ends_a_session_that_stock_dot_began(seen, token):
    """RFC 7009 §2.1, I11: revoked, then refused by DOT's API, by ours, and at both token endpoints."""
    assert seen["stock"][f"revocation of the {token}"] == [200, 401, 401, 400, 400]


def test_a_client_revokes_a_token_here_that_stock_dot_issued_to_itself(seen):
    """RFC 7009 §2.1: a token of client credentials belongs to no session."""
    assert seen["stock, of a client"] == {"revocation": 200, "after": {"active": False}}


EVERY_MODULE = """
import importlib, pkgutil
import django
django.setup()
import django_lazyauth, oauth2_provider
found = [module.name for module in pkgutil.walk_packages(django_lazyauth.__path__, "django_lazyauth.")]
for name in found:
    importlib.import_module(name)
print(oauth2_provider.__file__, len(found))
"""


@pytest.mark.parametrize("path", ["", CHECKOUT] if CHECKOUT else [""])
def test_no_module_of_ours_imports_what_the_toolkit_has_deprecated(path):
    """Also the edges that no request of this page reaches: the admin, the commands, the migration, the contracts."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EVERY_MODULE],
        cwd=ROOT,
        # Both checkouts have a package named tests. Ours is the first.
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}", "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    origin, count = done.stdout.split()
    assert origin.startswith(path)
    assert int(count) > 250
