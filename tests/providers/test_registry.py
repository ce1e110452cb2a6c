"""Names in the settings become providers."""

from __future__ import annotations

import pytest

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.providers.oauth2 import OAuth2Provider
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.providers.password import PasswordProvider
from django_lazyauth.providers.registry import configured_providers, get_provider
from tests.support.providers import BelievingProvider

CLASSES = {
    "oidc": ({"issuer": "https://id.example", "client_id": "us"}, OpenIDProvider),
    "typed": ({"type": "oidc"}, OpenIDProvider),
    "hub": ({"type": "oauth2"}, OAuth2Provider),
    "preset": ({"preset": "github", "client_id": "us"}, OAuth2Provider),
    "password": ({"type": "password"}, PasswordProvider),
    "own": ({"class": "tests.support.providers.BelievingProvider"}, BelievingProvider),
}


@pytest.mark.parametrize("name", list(CLASSES))
def test_the_type_or_class_decides(lazyauth, name):
    config, expected = CLASSES[name]
    lazyauth(PROVIDERS={name: config})
    provider = get_provider(name)
    assert (type(provider), provider.name) == (expected, name)


def test_a_preset_names_its_button(lazyauth):
    lazyauth(PROVIDERS={"gh": {"preset": "github"}, "own": {"preset": "github", "display_name": "Ours"}})
    assert [provider.display_name for provider in configured_providers()] == ["GitHub", "Ours"]


@pytest.mark.parametrize("providers", [{}, {"acme": {"enabled": False}}, {"acme": None}])
def test_what_is_not_configured_is_unavailable(lazyauth, providers):
    lazyauth(PROVIDERS=providers)
    with pytest.raises(ProviderUnavailable, match="not_configured"):
        get_provider("acme")
    assert configured_providers() == []


def test_the_order_of_the_settings_is_kept(lazyauth):
    lazyauth(PROVIDERS={"b": {}, "off": {"enabled": False}, "a": {}})
    assert [provider.name for provider in configured_providers()] == ["b", "a"]


@pytest.mark.parametrize(
    "config",
    [
        {"type": "saml"},
        {"class": "nowhere.Provider"},
        {"class": "builtins.dict"},
        {"preset": "nowhere"},
        {"type": "password", "client_id": "us"},
    ],
)
def test_a_provider_that_cannot_be_built_hides_no_other(lazyauth, config, caplog):
    lazyauth(PROVIDERS={"acme": config, "local": {"type": "password"}})
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        get_provider("acme")
    assert [provider.name for provider in configured_providers()] == ["local"]
    assert "acme" in caplog.text
