"""The rooms keep the rules that can be counted. ``python -m tests.rooms`` prints what breaks one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import rooms


@pytest.mark.parametrize("rule", rooms.HELD, ids=lambda rule: rule.__name__)
def test_the_rooms_keep_this_rule(rule: Callable[[], list[str]]):
    assert rule() == []


def test_imports_are_counted_by_the_module_that_is_meant():
    """``from . import end`` and ``from django_lazyauth.sessions import end`` name one module."""
    by_name = {module.name: module for module in rooms.modules()}
    imported = rooms.imports_of(by_name["django_lazyauth.sessions.logout"])
    assert "django_lazyauth.sessions.end" in imported
    assert "django_lazyauth.conf" in imported
