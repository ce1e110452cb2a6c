"""Where all services are there, no skip hides that one is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = """
import pytest

pytestmark = pytest.mark.{marker}

def test_of_a_service():
    pytest.skip("{reason}")
"""


@pytest.mark.parametrize("marker", ["services", "browser", "slow"])
@pytest.mark.parametrize("reason", ["service: no Redis here", "only on Windows"])
def test_a_service_that_is_missing_fails_the_run(tmp_path, marker, reason):
    """By its marker, or by the reason of the skip alone. A skip for another reason is none of ours."""
    (tmp_path / "test_it.py").write_text(TEST.format(marker=marker, reason=reason))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    services\n    browser\n    slow\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.support.require_services",
            "-p",
            "no:django",
            ".",
        ],
        cwd=tmp_path,
        env=os.environ | {"LAZYAUTH_REQUIRE_SERVICES": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    is_failure = marker != "slow" or reason.startswith("service")
    assert done.returncode == int(is_failure), done.stdout + done.stderr
    assert ("may not be skipped here" in done.stdout) is is_failure
