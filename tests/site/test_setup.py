"""What ``django.setup()`` imports: models, settings, and what Django itself asks for. Times are for ``make bench``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "oauth2_provider",
    "django_lazyauth",
]
ADMIN = ["django.contrib.admin"]

#: Packages that a start must not import, because only some processes need them.
HEAVY = {
    "celery",
    "charset_normalizer",
    "drf_spectacular",
    "jwt",
    "kombu",
    "redis",
    "requests",
    "urllib3",
}
#: Our own that serve requests, call upstreams, migrate, or check.
LATER = {
    "django_lazyauth.api",
    "django_lazyauth.checks.code",
    "django_lazyauth.checks.providers",
    "django_lazyauth.clients",
    "django_lazyauth.grants",
    "django_lazyauth.kit.fetch",
    "django_lazyauth.legacy.migrate",
    "django_lazyauth.legacy.sources",
    "django_lazyauth.openid",
    "django_lazyauth.providers",
    "django_lazyauth.sessions.backchannel",
    "django_lazyauth.sessions.end",
    "django_lazyauth.sign_in",
    "django_lazyauth.tasks",
    "django_lazyauth.tokens",
    "django_lazyauth.toolkit.stock_validator",
    "django_lazyauth.upstream",
    "django_lazyauth.vault",
    "django_lazyauth.web",
}

SETTINGS = """
import json, sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=json.loads(sys.argv[1]),
    SECRET_KEY="tests-only-secret-key-with-enough-characters-to-be-strong-0123456789",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
import django
"""


def run(code: str, apps: list[str]) -> str:
    """Run *code* in a process that has *apps* in its settings, and return what it prints."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", SETTINGS + code, json.dumps(apps)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def imported_by_setup(apps: list[str]) -> set[str]:
    code = "django.setup()\nprint(json.dumps(sorted(sys.modules)))"
    return set(json.loads(run(code, apps)))


def below(modules: set[str], names: set[str]) -> set[str]:
    """Return those of *modules* that are one of *names*, or stand below one."""
    return {module for module in modules if any(f"{module}.".startswith(f"{name}.") for name in names)}


@pytest.mark.parametrize("apps", [APPS, [*ADMIN, *APPS]], ids=["without the admin", "with the admin"])
def test_a_start_imports_nothing_that_only_some_processes_need(apps: list[str]):
    modules = imported_by_setup(apps)
    assert "django_lazyauth.models" in modules
    assert below(modules, HEAVY) == set()
    assert below(modules, LATER) == set()


def test_without_djangos_admin_no_page_of_operators_is_imported():
    """Django imports the ``admin`` module of each app, where its admin is installed. Nothing else does."""
    assert below(imported_by_setup(APPS), {"django_lazyauth.admin", "django_lazyauth.toolkit.admin"}) == set()


def test_a_start_of_a_resource_server_imports_no_http_client():
    apps = ["rest_framework", "django_lazyauth.resource_server"]
    assert below(imported_by_setup(apps), HEAVY | {"django_lazyauth.models"}) == set()


def test_what_is_registered_at_the_start_still_runs():
    """Checks, probes, receivers and the issuer of this site import what they need when they are first asked."""
    code = """
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django_lazyauth.kit.readiness import left_behind, waits_for
from django_lazyauth.resource_server.local import this_issuer
from oauth2_provider.models import get_application_model
call_command("migrate", verbosity=0)
call_command("check", tag=["database"], databases=["default"])
ada = get_user_model().objects.create(username="ada", is_active=False)
get_application_model().objects.create(name="A client").delete()
ada.delete()
assert this_issuer() is this_issuer() and this_issuer().issuer() == ""
print(json.dumps([waits_for(), left_behind(), "django_lazyauth.sessions.deletion" in sys.modules]))
"""
    assert json.loads(run(code, [*ADMIN, *APPS]).splitlines()[-1]) == [[], {}, True]


def test_every_room_that_the_admin_names_exists():
    """They are named by strings, and imported when a page first needs them."""
    from django_lazyauth.admin import rooms

    assert {name: getattr(rooms, name).__name__ for name in rooms._MODULES} == {
        name: f"django_lazyauth.{module}" for name, module in rooms._MODULES.items()
    }
    with pytest.raises(AttributeError, match="no attribute"):
        rooms.elsewhere  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize("cache", ["configuration", "keys", "issuer-keys"])
def test_a_worker_that_was_just_started_knows_every_cache_that_it_may_fill(cache: str):
    """A web process sends the name of the cache. The worker has imported the tasks only."""
    code = f"""
import django_lazyauth.tasks
django.setup()
django_lazyauth.tasks.fetch({cache!r}, "https://127.0.0.1", "claim")
print("known")
"""
    assert "known" in run(code, APPS)
