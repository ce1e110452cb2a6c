"""PgBouncer in transaction mode before PostgreSQL is noticed, and nothing else is taken for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.services

CHECK = """
import sys
from tests import settings
settings.DATABASES["default"] |= {"NAME": "postgres"}
if sys.argv[1] == "off":
    settings.DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
import django
django.setup()
from django.core.checks import run_checks
print([found.id for found in run_checks(tags=["database"], databases=["default"])])
"""


def ids(*command: str, cursors: str) -> str:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "LAZYAUTH_TEST_DATABASE": "postgresql",
    }
    done = subprocess.run(
        [*command, sys.executable, "-c", CHECK, cursors],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pooler_is_noticed_while_cursors_of_the_server_are_on():
    if shutil.which("pgbouncer") is None:
        pytest.skip("needs pgbouncer as a service")
    assert ids(".ci/pgbouncer", cursors="on") == "['lazyauth.W041']"
    assert ids(".ci/pgbouncer", cursors="off") == "[]"


@pytest.mark.skipif("LAZYAUTH_TEST_PGBOUNCER" in os.environ, reason="all is behind PgBouncer")
def test_postgresql_itself_is_no_pooler():
    assert ids(cursors="on") == "[]"
