"""A site with clients and live tokens adds the app, migrates, and everything that worked still works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("swapped", ["", "swapped"], ids=["stock models", "swapped client model"])
@pytest.mark.slow
def test_old_clients_and_tokens_work_after_the_app_was_added(tmp_path, swapped):
    database, notes = str(tmp_path / "site.sqlite3"), tmp_path / "notes.json"
    for phase in ("before", "after"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.site.dot_site", phase, database, str(notes), swapped],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    found = json.loads(notes.read_text())
    assert {name: found[name] for name in ("api", "userinfo", "refresh", "old-public", "old-secret")} == {
        "api": 200,
        "userinfo": 200,
        "refresh": 200,
        "old-public": 200,
        "old-secret": 200,
    }
    assert found["users"] == 1
    assert found["plaintext tokens of ours"] == 0
