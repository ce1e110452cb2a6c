"""Client secrets at rest."""

from __future__ import annotations

import hashlib

import pytest
from oauth2_provider.models import get_application_model

from django_lazyauth.clients.secrets import MIN_RANDOM_LENGTH, deserves_digest, secret_proves
from django_lazyauth.kit.secret_digest import digest_secret, is_digest, secret_matches

SECRET = "a-random-secret-of-forty-characters-0123"
#: What is not SECRET, each in one respect.
WRONG = ("", SECRET[:-1], SECRET + "x", SECRET.upper(), "ü", "\x00")


def test_a_digest_matches_its_secret_and_no_other():
    """RFC 6749 §10.1."""
    stored = digest_secret(SECRET)
    assert secret_matches(SECRET, stored)
    for wrong in (*WRONG, stored):
        assert not secret_matches(wrong, stored)


def test_a_secret_that_is_kept_as_it_is_is_compared_whole():
    """RFC 6749 §10.1: an operator turned hashing off for the client."""
    client = get_application_model()(client_secret=SECRET)
    assert secret_proves(SECRET, client)
    assert not any(secret_proves(wrong, client) for wrong in WRONG)


def test_the_same_secret_is_never_stored_the_same_way_twice():
    """Threat model: digests of two clients tell nothing about each other."""
    first, second = digest_secret(SECRET), digest_secret(SECRET)
    assert first != second
    assert secret_matches(SECRET, first)
    assert secret_matches(SECRET, second)
    assert SECRET not in first


def test_the_form_is_documented_and_stays():
    """Rows outlive releases: prefix, salt, digest."""
    stored = "lazyauth_sha256$salt$" + hashlib.sha256(f"salt${SECRET}".encode()).hexdigest()
    assert secret_matches(SECRET, stored)
    assert len(digest_secret(SECRET)) < 255


@pytest.mark.parametrize(
    "stored", ["lazyauth_sha256$", "lazyauth_sha256$salt", "lazyauth_sha256$salt$", "lazyauth_sha256$$"]
)
@pytest.mark.parametrize("secret", ["", "salt", SECRET])
def test_a_broken_digest_matches_nothing(stored, secret):
    """I18."""
    assert not secret_matches(secret, stored)


@pytest.mark.parametrize(
    ("stored", "ours"),
    [
        (digest_secret(SECRET), True),
        ("pbkdf2_sha256$1$salt$hash", False),
        ("plain", False),
        ("", False),
        (" lazyauth_sha256$salt$x", False),
    ],
)
def test_only_our_own_digests_are_taken_for_ours(stored, ours):
    assert is_digest(stored) is ours


def test_only_a_secret_too_long_to_guess_goes_without_stretching():
    """Architecture: a shorter one may be somebody's choice."""
    assert not deserves_digest("x" * (MIN_RANDOM_LENGTH - 1))
    assert deserves_digest("x" * MIN_RANDOM_LENGTH)
