"""A user model with unique addresses: nobody is refused for an address that they do not have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NEEDED = "A verified e-mail address is needed to register."


def run(kind):
    done = subprocess.run(
        [sys.executable, "-m", "tests.sign_in.unique_addresses_site"],
        cwd=ROOT,
        env={**os.environ, "UNIQUE_ADDRESSES": kind, "LAZYAUTH_TEST_DATABASE": "sqlite"},
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
