"""Which fields of a user a provider may fill, and what ``manage.py check`` says of the keys for it."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.checks.providers import check_domains, check_providers
from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.providers.base import Identity
from django_lazyauth.users import fields, groups

ENTRY = {"issuer": "https://idp.example", "client_id": "us", "client_secret": "s" * 20}


@pytest.fixture
def said(lazyauth):
    """What the check says of an entry with these keys."""

    def check(**keys):
        lazyauth(PROVIDERS={"acme": ENTRY | keys})
        return [str(message.msg) for message in check_providers()]

    return check


def test_the_standard_names_are_fine(said):
    assert said() == []
    assert said(sync="update", sync_fields=["first_name", "last_name", "email"]) == []


@pytest.mark.parametrize(
    "name",
    [
        *("id", "username", "password", "is_active", "is_staff", "is_superuser"),
        *("last_login", "date_joined", "groups", "user_permissions", "email", "provider_identities"),
    ],
)
def test_a_field_that_is_ours_is_an_error_to_map(said, name):
    (text,) = said(user_fields={name: "claim"})
    assert f'"user_fields" cannot fill "{name}": ' in text


def test_a_field_that_does_not_exist_is_named_with_the_one_that_was_meant(said):
    (text,) = said(user_fields={"frist_name": "given_name"})
    assert text.endswith('the user model has no such field; did you mean "first_name"?.')


def test_a_standard_name_that_the_user_model_does_not_have_is_no_error(said, monkeypatch):
    monkeypatch.setattr(fields, "_why_not", lambda name: "no such field" if name == "last_name" else "")
    assert said() == []
    assert "last_name" not in fields.said_of(Identity("acme", "1", user_fields={"last_name": "x"}))


def test_what_follows_must_be_filled(said):
    (text,) = said(sync_fields=["last_nam"])
    assert text.endswith(
        '"sync_fields" has "last_nam", which "user_fields" does not fill; did you mean "last_name"?.'
    )
    (text,) = said(user_fields={"first_name": "nick"}, sync_fields=["is_staff"])
    assert '"sync_fields" has "is_staff"' in text


def test_a_user_name_that_is_the_address_does_not_follow(said, monkeypatch):
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    (text,) = [one for one in said(sync_fields=["email"]) if "sync_fields" in one]
    assert "it says who somebody is" in text


@pytest.mark.parametrize("path", ["tests.nowhere.sync", "tests.users.test_fields.ENTRY", "no.such"])
def test_a_function_that_does_not_exist_is_an_error(said, path):
    (text,) = said(sync=path)
    assert '"sync" must be import, update, or a function or its dotted path' in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sync", "sometimes"),
        ("sync", 7),
        ("sync_fields", "first_name"),
        ("sync_fields", ["first name"]),
        ("sync_fields", ["f"] * 17),
        ("user_fields", ["first_name"]),
        ("user_fields", {"first name": "x"}),
        ("user_fields", {"first_name": 7}),
        ("user_fields", {f"f{number}": "x" for number in range(17)}),
        ("groups", {"value": 1.5}),
        ("groups", "answer:groups"),
        ("group_map", ["staff"]),
        ("group_map", {"staff": ""}),
        ("group_map", {"staff": 7}),
        ("group_map", {"s" * 129: "Editors"}),
        ("group_map", {str(number): "Editors" for number in range(201)}),
        ("groups_mode", "sync"),
        ("keep_claims", "department"),
        ("keep_claims", [7]),
        ("keep_claims", ["a..b"]),
        ("keep_claims", ["answer:user"]),
        ("keep_claims", ["c"] * 17),
    ],
)
def test_a_wrong_value_is_named_by_its_key(key, value):
    with pytest.raises(DescriptorError, match=f'"{key}" '):
        descriptor_from_settings("acme", ENTRY | {key: value})


def test_a_map_needs_groups_on_both_sides(said, monkeypatch):
    (text,) = said(group_map={"staff": "Editors"})
    assert '"group_map" needs "groups"' in text
    assert said(groups="groups", group_map={"staff": "Editors"}) == []
    assert said(groups="groups") == []
    monkeypatch.setattr(groups, "_model", lambda: None)
    (text,) = said(groups="groups", group_map={"staff": "Editors"})
    assert '"group_map" needs a user model with groups' in text


def test_a_configured_domain_is_checked_too(lazyauth):
    lazyauth(SSO_DOMAINS={"corp.example": ENTRY | {"user_fields": {"is_staff": "admin"}}})
    (message,) = check_domains()
    assert message.id == "lazyauth.E020"
    assert '"user_fields" cannot fill "is_staff"' in message.msg


def test_a_function_that_a_configured_domain_names_in_vain_is_an_error(lazyauth):
    """Nobody of that domain could sign in."""
    lazyauth(SSO_DOMAINS={"corp.example": ENTRY | {"sync": "no.such.function"}})
    (message,) = check_domains()
    assert message.id == "lazyauth.E020"
    assert '"sync" must be import, update, or a function or its dotted path' in message.msg


def test_i6_a_field_of_ours_is_not_filled_though_nobody_ran_the_check():
    identity = Identity("acme", "1", user_fields={"is_staff": True, "username": "root", "first_name": "Ada"})
    assert fields.said_of(identity) == {"first_name": "Ada"}


def test_the_claims_of_a_hosts_own_provider_fill_the_standard_names():
    assert fields.said_of(Identity("own", "1", claims={"given_name": "Ada"})) == {"first_name": "Ada"}
