"""Every new import path of the changelog, and every one that it calls unmoved, can be imported."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs/changelog.md").read_text()
NEW = re.findall(r"^\| `django_lazyauth[\w.]+` \| `(django_lazyauth[\w.]+)` \|$", PAGE, re.MULTILINE)
UNMOVED = re.findall(r"`([a-z_.]+)`", re.search(r"^`users`.*?are where they were", PAGE, re.M | re.S)[0])


@pytest.mark.parametrize("module", [*NEW, *(f"django_lazyauth.{name}" for name in UNMOVED)])
def test_a_path_of_the_changelog_can_be_imported(module):
    import_module(module)
