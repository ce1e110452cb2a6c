"""A provider is a dict; what is wrong with it is said by the name of the key."""

from __future__ import annotations

import dataclasses

import pytest

from django_lazyauth.openid.descriptor import (
    ALGORITHMS,
    OWN_PARAMETERS,
    DescriptorError,
    descriptor_from_settings,
)
from django_lazyauth.openid.presets import PRESETS

MINIMAL = {"issuer": "https://id.example", "client_id": "us"}


def made(**changes):
    return descriptor_from_settings("acme", {**MINIMAL, **changes})


def test_an_issuer_and_a_client_id_are_enough():
    descriptor = made()
    assert (descriptor.name, descriptor.type, descriptor.scopes) == (
        "acme",
        "oidc",
        ("openid", "profile", "email"),
    )
    assert descriptor.algorithms == ALGORITHMS == ("RS256", "PS256", "ES256", "EdDSA")
    assert descriptor.token_endpoint_auth_method == "none"
    assert descriptor.configuration_url == "https://id.example/.well-known/openid-configuration"


def test_the_authentication_method_follows_from_what_is_there():
    """OpenID Connect Core §9: client_secret_basic is the default."""
    assert made(client_secret="s").token_endpoint_auth_method == "client_secret_basic"
    assert made(private_key="pem").token_endpoint_auth_method == "private_key_jwt"


def test_no_secret_is_in_its_repr():
    """I13."""
    shown = repr(made(client_secret="hidden-1", private_key="hidden-2"))
    assert "hidden" not in shown


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().issuer = "https://other.example"
    with pytest.raises(TypeError):
        made(extra_authorize_params={"a": "b"}).extra_authorize_params["a"] = "c"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"issuer": ""}, "issuer"),
        ({"issuer": 7}, "issuer"),
        ({"issuer": "id.example"}, "issuer"),
        ({"issuer": "javascript:alert(1)"}, "issuer"),
        ({"issuer": "https://id.example?a=b"}, "issuer"),
        ({"issuer": "https://id.example#a"}, "issuer"),
        ({"issuer": "https://user@id.example"}, "issuer"),
        ({"issuer": "https://id.example/{ti d}"}, "issuer"),
        ({"issuer": "https://{tid}.id.example/"}, "issuer"),
        ({"issuer": "https://id.example/{tid}"}, "openid_configuration"),
        ({"issuer": "https://id.example/" + "x" * 255}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": None}, "client_id"),
        ({"client_id": "a\0b"}, "client_id"),
        ({"client_secret": 7}, "client_secret"),
        ({"scopes": "openid email"}, "scopes"),
        ({"scopes": ["email"]}, "scopes"),
        ({"scopes": ["openid", "a b"]}, "scopes"),
        ({"scopes": ["openid", *map(str, range(40))]}, "scopes"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": ["RS256", "HS256"]}, "algorithms"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "client_secret"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "private_key"),
        ({"claims": {"subject": "email"}}, "claims"),
        ({"claims": {"phone": "phone"}}, "claims"),
        ({"claims": {"email": 7}}, "claims"),
        ({"states_email_verified": "no"}, "states_email_verified"),
        ({"extra_authorize_params": {"state": "mine"}}, "extra_authorize_params"),
        ({"extra_authorize_params": {"a": 1}}, "extra_authorize_params"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"jwks_uri": "https://"}, "jwks_uri"),
        ({"type": "saml"}, "type"),
        ({"type": "oauth2"}, "authorization_endpoint"),
        ({"preset": "nowhere"}, "preset"),
    ],
)
def test_a_wrong_key_is_named(changes, key):
    """A hint names the key and never holds the value (I13)."""
    with pytest.raises(DescriptorError) as caught:
        made(**changes)
    assert f'"{key}"' in caught.value.hint


@pytest.mark.parametrize("name", ["", "Acme", "a b", "x" * 65, "é", "-a"])
def test_a_name_has_to_fit_its_column_and_its_url(name):
    with pytest.raises(DescriptorError, match="name"):
        descriptor_from_settings(name, MINIMAL)


@pytest.mark.parametrize("name", sorted(OWN_PARAMETERS))
def test_our_own_parameters_cannot_be_replaced(name):
    """I9: state, nonce and PKCE are minted here."""
    with pytest.raises(DescriptorError, match=name):
        made(extra_authorize_params={name: "x"})


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_needs_only_what_is_the_sites_own(preset):
    own = {"preset": preset, "client_id": "us", "client_secret": "s"}
    if "issuer" not in PRESETS[preset] and PRESETS[preset].get("type") != "oauth2":
        own["issuer"] = "https://corp.example"
    assert descriptor_from_settings("it", own).client_id == "us"


def test_the_mapping_overrides_its_preset():
    descriptor = descriptor_from_settings(
        "work", {"preset": "google", "client_id": "us", "scopes": ["openid"], "extra_authorize_params": {}}
    )
    assert (descriptor.issuer, descriptor.scopes) == ("https://accounts.google.com", ("openid",))
    assert descriptor.extra_authorize_params == {}


def test_what_the_well_known_ones_need_is_there():
    def preset(name):
        return descriptor_from_settings(name, {"preset": name, "client_id": "us", "client_secret": "s"})

    assert preset("microsoft").placeholders == ("tid",)
    assert preset("microsoft").states_email_verified is False
    assert preset("apple").extra_authorize_params == {"response_mode": "form_post"}
    assert (preset("github").type, preset("github").claims.subject) == ("oauth2", "id")
