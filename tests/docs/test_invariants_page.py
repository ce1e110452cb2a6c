"""``docs/invariants.md`` names files and tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs/invariants.md").read_text()
TESTS = set(
    re.findall(r"^ *def (test_\w+)", "".join(p.read_text() for p in ROOT.glob("tests/**/*.py")), re.M)
)
NAMED_TESTS = sorted(set(re.findall(r"`(test_\w+)(?:\[[^\]`]*\])?`", PAGE)))
NAMED_FILES = sorted(set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", PAGE)))


@pytest.mark.parametrize("name", NAMED_TESTS)
def test_a_named_test_exists(name):
    assert name in TESTS


@pytest.mark.parametrize("name", NAMED_FILES)
def test_a_named_file_exists(name):
    assert (ROOT / "django_lazyauth" / name).is_file() or (ROOT / name).is_file()
