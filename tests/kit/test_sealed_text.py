"""A text that only the holder of a secret can open."""

from __future__ import annotations

import pytest

from django_lazyauth.errors import SealBroken
from django_lazyauth.kit.sealed_text import open_sealed, seal

TEXT = "the answer ü"
KEYS = {"secret": "s" * 43, "purpose": "an answer", "place": "here"}


def test_a_sealed_text_opens_where_it_was_sealed():
    sealed = seal(TEXT, **KEYS)
    assert open_sealed(sealed, **KEYS) == TEXT
    assert TEXT not in sealed


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("other", ["", "another"])
def test_i12_a_sealed_text_opens_for_its_own_secret_purpose_and_place_only(name, other):
    """I12: what was moved to another row, or sealed for something else, does not open."""
    with pytest.raises(SealBroken):
        open_sealed(seal(TEXT, **KEYS), **(KEYS | {name: other}))


def test_two_seals_of_one_text_have_nothing_in_common():
    """No key is used twice, so two rows tell nothing about each other."""
    one, other = seal(TEXT, **KEYS), seal(TEXT, **KEYS)
    assert not {one[start : start + 8] for start in range(3, len(one) - 8)} & {
        other[start : start + 8] for start in range(3, len(other) - 8)
    }


@pytest.mark.parametrize("position", [0, 3, 30, 60, -2])
def test_a_sealed_text_that_was_changed_or_cut_does_not_open(position):
    sealed = seal(TEXT, **KEYS)
    changed = "A" if sealed[position] != "A" else "B"
    at = position % len(sealed)
    for broken in (sealed[:at] + changed + sealed[at + 1 :], sealed[:at], "", "v1.", "v1.é"):
        with pytest.raises(SealBroken):
            open_sealed(broken, **KEYS)
