"""ID tokens of apps that have client ids of their own at the provider."""

from __future__ import annotations

import hashlib
import logging
import re

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


FAILURES = {
    "nonce": ({"claims": {"nonce": "another"}}, 400, "refused", logging.ERROR, "nonce"),
    "stranger": (
        {"claims": {"iss": "https://nobody.example"}},
        400,
        "refused",
        logging.ERROR,
        "unknown_issuer",
    ),
    "account": ({"claims": {"hd": "other.example"}}, 400, "not_allowed", logging.INFO, "not_allowed"),
}


@pytest.mark.parametrize("row", FAILURES)
@pytest.mark.parametrize("place", ["flow", "identities"])
def test_a_refused_token_has_its_line_and_the_answer_its_reference(acme, flow, signed_in, caplog, row, place):
    """As the pages do: the person may read it to the operator."""
    levers, status, reason, level, word = FAILURES[row]
    upstream = acme(allow={"hd": ["corp.example"]} if row == "account" else None)
    nonce = nonce_of(flow) if place == "flow" else listed(signed_in)["nonce"]
    body = {"id_token": token_for(upstream, nonce, **levers)}
    with caplog.at_level(logging.INFO, "django_lazyauth.upstream"):
        if place == "flow":
            answer = until_settled(lambda: send(flow, flow.url, body))
        else:
            answer = until_settled(lambda: send(signed_in, "/identities", body, **CSRF))
    assert (answer.status_code, answer.json()["reason"]) == (status, word)
    [line] = [record for record in caplog.records if record.getMessage().startswith("sign-in failed:")]
    assert (line.levelno, line.reason, line.reference) == (level, reason, answer.json()["reference"])
    assert re.fullmatch("[0-9A-F]{8}", line.reference)
    assert line.provider == ("" if row == "stranger" else "acme")
    assert body["id_token"] not in str(vars(line))


def test_a_provider_whose_keys_cannot_be_fetched_has_its_line_too(acme, flow, caplog):
    upstream = acme()
    body = {"id_token": token_for(upstream, nonce_of(flow))}
    upstream.control(jwks_answer="500")
    with caplog.at_level(logging.INFO, "django_lazyauth.upstream"):
        answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (503, "status")
    [line] = [record for record in caplog.records if record.getMessage().startswith("sign-in failed:")]
    assert (line.reason, line.stage, line.reference) == ("down", "keys", answer.json()["reference"])


def test_a_person_whom_this_site_refuses_has_a_line_too(acme, flow, caplog, django_user_model):
    upstream = acme()
    user = django_user_model.objects.create_user("ada", is_active=False)
    ProviderIdentity.objects.create(user=user, provider="acme", subject="ada")
    body = {"id_token": token_for(upstream, nonce_of(flow))}
    with caplog.at_level(logging.INFO, "django_lazyauth.upstream"):
        answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (403, "access_denied")
    assert (
        f"reference={answer.json()['reference']} provider=acme stage=account reason=no_account" in caplog.text
    )


@pytest.mark.parametrize("place", ["flow", "identities"])
def test_a_token_of_64_kib_signs_in_and_links(acme, flow, signed_in, place):
    """Companies put groups into tokens. The limit is that of a configured provider."""
    upstream = acme()
    nonce = nonce_of(flow) if place == "flow" else listed(signed_in)["nonce"]
    body = {"id_token": token_for(upstream, nonce, claims={"groups": ["g" * 100] * 460})}
    assert 60 * 1024 < len(body["id_token"]) <= 64 * 1024
    if place == "flow":
        answer = until_settled(lambda: send(flow, flow.url, body))
        assert answer.json()["state"] == "authenticated"
    else:
        assert send(signed_in, "/identities", body, **CSRF).status_code == 201


def test_a_strangers_token_is_16_kib_at_most(sso, flow):
    body = {
        "id_token": token_for(sso, nonce_of(flow), claims={"groups": ["g" * 100] * 150}),
        "discovery_domain": "acme.example",
    }
    assert len(body["id_token"]) > 16 * 1024
    answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (400, "too_large")


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
