"""Text that a database and a URL can hold."""

from __future__ import annotations

import pytest

from django_lazyauth.kit.text import are_sound, has_bad_characters


@pytest.mark.parametrize("value", ["\x00", "a\x00b", "\ud800", "a\udfff"])
def test_nul_and_lone_surrogates_are_bad(value):
    """I18."""
    assert has_bad_characters(value)
    assert not are_sound(["fine", value], max_length=10)


@pytest.mark.parametrize("value", ["", "ü", "\n\t", "😀", "\u202e"])
def test_all_other_text_is_sound(value):
    assert not has_bad_characters(value)
    assert are_sound([value], max_length=10)


def test_a_value_that_is_too_long_is_not_sound():
    """I18."""
    assert are_sound(["a" * 10, ""], max_length=10)
    assert not are_sound(["a" * 11], max_length=10)
