"""What a client learns about a person: what the person is called, or nothing (OpenID Connect Core §5.1)."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.providers.base import Identity
from django_lazyauth.tokens.id import user_claims
from django_lazyauth.users import UserResolver

SCOPES = ("openid", "profile", "email")
ADDRESS = "ada@people.example"


def claims_of(user, scopes=SCOPES):
    return user_claims(user, scopes, subject=str(user.pk), email_verified=True)


def test_a_password_user_is_not_called_by_a_generated_user_name(db):
    """OpenID Connect Core §5.1: ``name`` is the full name, in displayable form. Without one there is no claim."""
    user = UserResolver().create(Identity("password", "subject", email=ADDRESS, email_verified=True))
    claims = claims_of(user)
    assert user.username.startswith("ada-")
    assert not {"name", "given_name", "family_name"} & set(claims)
    assert claims["preferred_username"] == user.username


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("Ada", "Lovelace", {"name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace"}),
        ("Ada", "", {"name": "Ada", "given_name": "Ada"}),
        ("", "Lovelace", {"name": "Lovelace", "family_name": "Lovelace"}),
        (" ", " ", {}),
        ("", "", {}),
    ],
)
def test_names_are_told_as_far_as_they_are_known(first, last, told):
    claims = claims_of(get_user_model()(pk=1, username="ada", first_name=first, last_name=last))
    assert {name: claims[name] for name in ("name", "given_name", "family_name") if name in claims} == told


@pytest.mark.parametrize("username", [ADDRESS, ADDRESS.upper()])
@pytest.mark.parametrize("scopes", [SCOPES, ("openid", "profile")])
def test_a_user_name_that_is_the_address_is_for_the_scope_email_to_bring(username, scopes):
    """OpenID Connect Core §5.4: ``profile`` brings no address."""
    claims = claims_of(get_user_model()(pk=1, username=username, email=ADDRESS), scopes)
    assert "preferred_username" not in claims
    assert ("email" in claims) == ("email" in scopes)
