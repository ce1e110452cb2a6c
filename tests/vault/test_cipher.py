"""Spec 3, Sealed: a value opens only at its own place (I12)."""

from __future__ import annotations

import base64
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_lazyauth.errors import SealBroken
from django_lazyauth.vault.cipher import AesGcmCipher, Place

SESSION = UUID("01890000-0000-7000-8000-000000000001")
OTHER = UUID("01890000-0000-7000-8000-000000000002")
PLACE = Place("UpstreamToken", SESSION, "google", "access_token")


def vault_key(key_id: str, octet: bytes) -> str:
    return f"{key_id}:{base64.b64encode(octet * 32).decode()}"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_at_its_place(text):
    cipher = AesGcmCipher()
    assert cipher.open(cipher.seal(text, PLACE), PLACE) == text


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, model="DeferredRegistration"),
        replace(PLACE, session_id=OTHER),
        replace(PLACE, provider="googl"),
        replace(PLACE, column="refresh_token"),
    ],
    ids=["model", "session", "provider", "column"],
)
def test_a_value_moved_elsewhere_does_not_open(elsewhere):
    """I12."""
    cipher = AesGcmCipher()
    with pytest.raises(SealBroken):
        cipher.open(cipher.seal("token", PLACE), elsewhere)


@pytest.mark.parametrize("owner", [(), ("8", "ada"), ("7", "grace"), ("7ada",)], ids=str)
def test_a_token_of_a_grant_opens_for_its_own_person_only(owner):
    """I12."""
    cipher, place = AesGcmCipher(), replace(PLACE, model="UpstreamGrant", owner=("7", "ada"))
    sealed = cipher.seal("token", place)
    assert cipher.open(sealed, place) == "token"
    with pytest.raises(SealBroken):
        cipher.open(sealed, replace(place, owner=owner))


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_a_changed_or_cut_value_does_not_open(position, octet):
    cipher = AesGcmCipher()
    version, key_id, encoded = cipher.seal("token", PLACE).split(".")
    raw = bytearray(base64.urlsafe_b64decode(encoded))
    index = position % len(raw)
    changed = raw[:index] + bytes([octet]) + raw[index + 1 :]
    for damaged in (changed, raw[:index], raw + b"\0"):
        if damaged == raw:
            continue
        with pytest.raises(SealBroken):
            cipher.open(f"{version}.{key_id}.{base64.urlsafe_b64encode(damaged).decode()}", PLACE)


@given(st.text(max_size=80))
def test_garbage_does_not_open(text):
    with pytest.raises(SealBroken):
        AesGcmCipher().open(text, PLACE)


def test_the_same_text_never_seals_to_the_same_value():
    cipher = AesGcmCipher()
    assert len({cipher.seal("token", PLACE) for _ in range(100)}) == 100


def test_a_rotated_key_still_opens_and_the_first_one_seals(lazyauth):
    cipher = AesGcmCipher()
    lazyauth(VAULT_KEYS=[vault_key("old", b"o")])
    sealed = cipher.seal("token", PLACE)
    lazyauth(VAULT_KEYS=[vault_key("new", b"n"), vault_key("old", b"o")])
    assert cipher.open(sealed, PLACE) == "token"
    assert cipher.needs_reseal(sealed)
    assert not cipher.needs_reseal(cipher.seal("token", PLACE))


def test_a_value_under_a_removed_key_does_not_open(lazyauth):
    cipher = AesGcmCipher()
    lazyauth(VAULT_KEYS=[vault_key("old", b"o")])
    sealed = cipher.seal("token", PLACE)
    lazyauth(VAULT_KEYS=[vault_key("new", b"n")])
    with pytest.raises(SealBroken):
        cipher.open(sealed, PLACE)


def test_without_configured_keys_one_is_derived_and_still_opens_later(lazyauth):
    cipher = AesGcmCipher()
    lazyauth(VAULT_KEYS=[])
    sealed = cipher.seal("token", PLACE)
    lazyauth(VAULT_KEYS=[vault_key("new", b"n")])
    assert cipher.open(sealed, PLACE) == "token"


def test_another_secret_key_derives_another_key(lazyauth, settings):
    cipher = AesGcmCipher()
    lazyauth(VAULT_KEYS=[])
    sealed = cipher.seal("token", PLACE)
    settings.SECRET_KEY = "another secret key that is long enough to be one of a real site 0123"
    with pytest.raises(SealBroken):
        cipher.open(sealed, PLACE)
