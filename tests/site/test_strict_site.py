"""A host whose defaults are nothing like the tests': our endpoints answer as they always do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_no_default_of_the_host_changes_our_endpoints():
    """I18, RFC 6749 §5.2: versions, throttles, renderers, error formats, and requests that are transactions."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.site.strict_site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "0 get sso": [403, ""],
        "1 post sso": [202, ""],
        "2 get identities": [403, ""],
        "3 get authorizations": [404, ""],
        "4 post authorizations": [404, ""],
        "5 post authorizations": [400, ""],
        "6 post authorizations": [400, ""],
        "7 post register": [201, ""],
        "8 get upstream-tokens": [401, "Bearer"],
        "9 put upstream-tokens": [405, ""],
        "10 post token": [401, "Basic"],
    }


@pytest.mark.django_db
def test_a_site_without_aware_times_is_told_so(settings):
    """Every expiry here is compared as an aware time."""
    settings.USE_TZ = False
    assert "lazyauth.E013" in [message.id for message in run_checks()]
