"""ID tokens of apps that have client ids of their own at the provider."""

from __future__ import annotations

import hashlib
import logging

import pytest

from django_lazyauth.models import ProviderIdentity
from tests.support.journey import make_browser, start
from tests.upstream.conftest import go_upstream

from .test_sso_and_identities import (
    CSRF,
    ada,
    flow,
    listed,
    nonce_of,
    send,
    signed_in,
    token_for,
    until_settled,
)

__all__ = ["ada", "flow", "signed_in"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(upstream, lazyauth, settings):
    def configured(**changes):
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(**changes)})
        return upstream

    return configured


def test_an_app_signs_in_with_a_token_for_itself(acme, flow):
    upstream = acme(audiences=["app.ios"])
    body = {"id_token": token_for(upstream, nonce_of(flow), claims={"aud": "app.ios"})}
    answer = until_settled(lambda: send(flow, flow.url, body))
    assert answer.json()["state"] == "authenticated"


def test_a_person_links_with_a_token_for_an_app(acme, signed_in):
    upstream = acme(audiences=["app.ios"], nonce_hash="sha256")
    hashed = hashlib.sha256(listed(signed_in)["nonce"].encode()).hexdigest()
    body = {"id_token": token_for(upstream, hashed, claims={"aud": "app.ios"})}
    assert send(signed_in, "/identities", body, **CSRF).status_code == 201
    assert ProviderIdentity.objects.filter(provider="acme", subject="ada").exists()


def test_an_app_that_is_not_named_signs_nobody_in(acme, flow):
    upstream = acme(audiences=["app.ios"])
    body = {"id_token": token_for(upstream, nonce_of(flow), claims={"aud": "app.android"})}
    answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (400, "unknown_issuer")


def test_the_log_names_the_key_that_would_allow_another_party(acme, flow, caplog):
    upstream = acme(audiences=["app.ios"])
    body = {"id_token": token_for(upstream, nonce_of(flow), claims={"azp": "app.android"})}
    with caplog.at_level(logging.INFO, "django_lazyauth.upstream"):
        answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (400, "azp")
    assert 'nor in "authorized_parties"' in caplog.text
    assert "app.android" not in caplog.text


def test_an_account_that_may_not_sign_in_is_told_so_in_one_word(acme, flow, caplog):
    upstream = acme(allow={"hd": ["corp.example"]})
    body = {"id_token": token_for(upstream, nonce_of(flow), claims={"hd": "other.example"})}
    with caplog.at_level(logging.INFO, "django_lazyauth.upstream"):
        answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (400, "not_allowed")
    assert "reason=not_allowed" in caplog.text
    assert "other.example" not in caplog.text


def test_i5_nobody_links_what_was_another_users_under_an_earlier_subject(
    acme, signed_in, ada, django_user_model
):
    upstream = acme(legacy_subjects=["oid"])
    grace = django_user_model.objects.create_user("grace")
    theirs = ProviderIdentity.objects.create(user=grace, provider="acme", subject="old-7")
    nonce = listed(signed_in)["nonce"]
    body = {"id_token": token_for(upstream, nonce, claims={"oid": "old-7"})}
    answer = send(signed_in, "/identities", body, **CSRF)
    assert (answer.status_code, answer.json()["reason"]) == (409, "taken")
    theirs.refresh_from_db()
    assert (theirs.user, theirs.subject) == (grace, "old-7")
    theirs.user = ada
    theirs.save()
    assert send(signed_in, "/identities", body, **CSRF).status_code == 200
    assert ProviderIdentity.objects.filter(user=ada, provider="acme").get().subject == "ada"


def test_the_code_flow_takes_no_token_for_an_app(acme, client_):
    upstream = acme(audiences=["app.ios"])
    browser = make_browser()
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"), claims={"aud": "app.ios"})
    assert page.status_code == 200
    assert "Location" not in page.headers
    assert not ProviderIdentity.objects.exists()


def test_a_strangers_domain_has_the_client_id_of_its_document_only(sso, flow):
    """Nobody configured the domain, so it has no apps here."""
    body = {
        "id_token": token_for(sso, nonce_of(flow), claims={"aud": "app.ios"}),
        "discovery_domain": "acme.example",
    }
    answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (400, "aud")
