"""The two documents of a domain, each broken in exactly one way, at a provider process."""

from __future__ import annotations

import time

import pytest

from django_lazyauth.kit import fetch
from django_lazyauth.kit.results import Failed, Pending, Ready
from django_lazyauth.openid import domains, sources, sso_discovery
from django_lazyauth.openid.published import policy_of
from django_lazyauth.openid.requests.authentication import methods_to_try
from django_lazyauth.openid.sources import DiscoveredKeys


def discover(name="acme.example", *, seconds=10):
    """Drive until it is over."""
    domain = domains.find(name)
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        sso_discovery.fetch_if_due(domain)
        found = sso_discovery.peek(domain)
        if not isinstance(found, Pending):
            return found
        time.sleep(0.02)
    raise AssertionError("still pending")


def test_both_hops_make_a_provider(sso):
    found = discover().value
    assert (found.domain, found.name) == ("acme.example", "Acme Corporation")
    descriptor = found.descriptor
    assert (descriptor.name, descriptor.issuer, descriptor.client_id) == (
        "sso:acme.example",
        sso.issuer,
        sso.client_id,
    )
    assert descriptor.algorithms == ("RS256", "ES256")
    assert methods_to_try(descriptor, ("client_secret_basic",)) == ("none",)
    assert descriptor.is_discovered
    assert len(found.published.keys) == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"client_id": None}, "client_id"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "x" * 256}, "client_id"),
        ({"client_id": 7}, "client_id"),
        ({"name": "x" * 129}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": ["Acme"]}, "name"),
        ({"openid_configuration": None}, "openid_configuration"),
        ({"openid_configuration": "https://id.example/"}, "openid_configuration"),
        ({"openid_configuration": "http://id.example/.well-known/openid-configuration"}, "endpoint"),
        ({"openid_configuration": "https://u@id.example/.well-known/openid-configuration"}, "endpoint"),
        ({"openid_configuration": "https://10.0.0.1/.well-known/openid-configuration"}, "address"),
        ({"openid_configuration": "https://[::ffff:7f00:1]/.well-known/openid-configuration"}, "address"),
        ({"padding": "x" * 70_000}, "too_large"),
    ],
)
def test_a_bad_document_of_the_domain(sso, document, reason):
    sso.control(sso=document)
    assert discover() == Failed(reason, retry_after=60)
    assert sso.requests("/jwks") == []


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": None}, "issuer_mismatch"),
        ({"issuer": "https://other.example"}, "issuer_mismatch"),
        ({"issuer": "{issuer}/tenant"}, "issuer_mismatch"),
        ({"issuer": "{issuer}//"}, "issuer_mismatch"),
        ({"authorization_endpoint": None}, "incomplete"),
        ({"authorization_endpoint": "https://other.example/authorize"}, "authority_mismatch"),
        ({"authorization_endpoint": "http://127.0.0.1:1/authorize"}, "authority_mismatch"),
        ({"authorization_endpoint": "http://localhost:{port}/authorize"}, "authority_mismatch"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "endpoint"),
        ({"token_endpoint": None}, "incomplete"),
        ({"token_endpoint": "http://id.example/token"}, "endpoint"),
        ({"jwks_uri": None}, "incomplete"),
        ({"jwks_uri": 7}, "endpoint"),
        ({"scopes_supported": [f"s{n}" for n in range(33)]}, "scopes"),
        ({"scopes_supported": "openid"}, "scopes"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "alg"),
        ({"id_token_signing_alg_values_supported": []}, "alg"),
    ],
)
def test_bad_metadata(sso, metadata, reason):
    """OpenID Connect Discovery §4.3, and the issuer's authority."""
    filled = {
        name: value.format(issuer=sso.issuer, port=sso.port) if isinstance(value, str) else value
        for name, value in metadata.items()
    }
    sso.control(metadata=filled)
    assert discover() == Failed(reason, retry_after=60)


def test_a_slash_at_the_end_of_the_issuer_is_the_issuers_own(sso):
    """OpenID Connect Discovery §4.1 removes it from the address, so the address stands for both."""
    sso.control(metadata={"issuer": f"{sso.issuer}/"})
    assert discover().value.descriptor.issuer == f"{sso.issuer}/"


def test_keys_may_live_elsewhere(sso):
    """Spec 2: jwks_uri has another authority here."""
    sso.control(metadata={"jwks_uri": f"http://localhost:{sso.port}/jwks"})
    assert isinstance(discover(), Ready)


@pytest.mark.parametrize(
    ("lever", "reason"),
    [("500", "status"), ("html", "not_json"), ("empty", "no_keys"), ("huge", "too_large")],
)
def test_a_bad_key_set(sso, lever, reason):
    sso.control(jwks_answer=lever)
    assert discover() == Failed(reason, retry_after=60)


def test_a_scope_the_provider_lacks_is_not_asked_for(sso):
    sso.control(metadata={"scopes_supported": ["openid", "email", "offline_access", "admin"]})
    descriptor = discover().value.descriptor
    assert descriptor.scopes == ("openid", "email")
    assert descriptor.requests.offline_scopes == ("offline_access",)
    assert descriptor.further_scopes == ()


def test_what_a_stranger_chose_is_fetched_as_a_strangers(sso):
    """I14: also the token endpoint."""
    assert policy_of(discover().value.descriptor) is fetch.STRANGER


def test_a_configured_domain_must_be_its_issuer(sso, lazyauth):
    lazyauth(SSO_DOMAINS={"acme.example": sso.config()})
    sso.control(metadata={"issuer": f"{sso.issuer}/"})
    assert discover() == Failed("issuer_mismatch", retry_after=60)


def test_peek_fetches_nothing(sso):
    domain = domains.find("acme.example")
    for _ in range(5):
        assert sso_discovery.peek(domain) == Pending()
    assert sso.requests() == []


def test_stale_keys_serve_while_the_domain_is_down(sso, monkeypatch):
    """Spec 2: up to an hour more, also if the source fails."""
    discover()
    sso.control(down=True)
    later = time.time() + 3700
    monkeypatch.setattr(sso_discovery.configurations, "clock", lambda: later)
    monkeypatch.setattr(sso_discovery.key_sets, "clock", lambda: later)
    domain = domains.find("acme.example")
    assert isinstance(discover(), Ready)
    assert isinstance(sources.load(DiscoveredKeys(domain)), Ready)


def test_a_domain_that_lost_its_place_has_no_entry(sso, lazyauth):
    discover()
    lazyauth(SSO_DOMAINS={})
    assert domains.find("acme.example") is None
