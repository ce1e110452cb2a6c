"""Spec 8.5, resource authorization server: an organisation's word becomes a token, and a person, in one commit."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.utils import timezone
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.grants.delegation import asserted
from django_lazyauth.models import (
    Consent,
    GrantKind,
    PendingAuthorization,
    ProofKind,
    ProviderIdentity,
    Status,
    UsedProof,
)
from django_lazyauth.sessions import end
from django_lazyauth.sessions.listing import sessions_of
from django_lazyauth.signals import user_registered
from django_lazyauth.tokens.bearer import find_bearer
from tests.api.test_sso_and_identities import nonce_of, send, until_settled
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.dpop import ProofKey
from tests.support.id_jags import API, GRANT, POLICY, assertion, bring, brought, trust
from tests.support.journey import ISSUER, get, make_browser, post_form
from tests.support.reports import reported
from tests.tokens.conftest import decoded
from tests.vault.test_canary import database_text

pytestmark = pytest.mark.django_db(transaction=True)

User = get_user_model()


@pytest.fixture
def idp(upstream, lazyauth):
    trust(upstream, lazyauth)
    return upstream


def error_of(answer):
    assert answer.status_code in (400, 401), answer.content
    return answer.json()["error"]


def nothing_stands():
    models = (User, ProviderIdentity, PendingAuthorization, AccessToken, RefreshToken)
    return not any(model.objects.exists() for model in models)


def test_i3_a_new_person_a_session_and_a_token_are_written_on_the_word_of_their_organisation(idp):
    """Draft §4.4: access token and scope; no refresh token, no ID token, no consent of the person."""
    told = []

    def note(sender, user, identity, session_id, client, **kwargs):
        told.append((user.pk, identity.subject, session_id, client.client_id))

    user_registered.connect(note)
    try:
        answer = brought(assertion(idp, auth_time=int(time.time()) - 60, amr=["hwk"]))
    finally:
        user_registered.disconnect(note)
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert answer["scope"] == "notes:read notes:write"
    user, session = User.objects.get(), PendingAuthorization.objects.get()
    assert told == [(user.pk, "person-1", session.pk, "agent")]
    claims = decoded(answer["access_token"])[1]
    assert (claims["sub"], claims["aud"], claims["client_id"]) == (str(user.pk), API, "agent")
    assert (claims["tsid"], claims["amr"]) == (str(session.pk), ["hwk"])
    assert (session.grant, session.status, session.provider) == (GrantKind.ID_JAG, Status.EXCHANGED, "acme")
    assert not Consent.objects.exists()
    assert not IDToken.objects.exists()
    (shown,) = sessions_of(user)
    assert (shown.client.client_id, shown.provider) == ("agent", "acme")
    end.end_session(session.pk)
    assert find_bearer(answer["access_token"]) is None


def test_i5_somebody_who_is_known_stays_who_they_are(idp):
    for _ in range(2):
        brought(assertion(idp))
    assert User.objects.count() == ProviderIdentity.objects.count() == 1
    assert PendingAuthorization.objects.count() == 2
    User.objects.update(is_active=False)
    assert error_of(bring(assertion(idp))) == "invalid_grant"


def test_i25_an_assertion_is_good_once_and_a_refusal_uses_none_up(idp, lazyauth):
    text = assertion(idp)
    assert error_of(bring(text, resource="https://other.example")) == "invalid_target"
    assert error_of(bring(text, scope="notes:admin")) == "invalid_scope"
    assert nothing_stands()
    first = brought(text, scope="notes:read")
    assert first["scope"] == "notes:read"
    assert error_of(bring(text)) == "invalid_grant"
    assert find_bearer(first["access_token"]) is not None
    trust_again = {"acme": idp.config(id_jag=POLICY | {"reusable": True})}
    lazyauth(PROVIDERS=trust_again)
    again = assertion(idp)
    assert brought(again)["access_token"] != brought(again)["access_token"]


def test_i21_an_assertion_that_was_used_does_not_bring_back_who_was_deleted(idp):
    """I25 too: its use is remembered without its session and its person."""
    text = assertion(idp)
    brought(text)
    User.objects.get().delete()
    assert error_of(bring(text)) == "invalid_grant"
    assert nothing_stands()
    assert UsedProof.objects.get().kind == ProofKind.ID_JAG


def test_i25_an_assertion_that_is_wrong_in_one_respect_writes_nobody(idp):
    """Draft §4.4.1: each claim in turn, and tokens of another purpose."""
    now = int(time.time())
    wrong = [
        {"aud": f"{ISSUER}/"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": None},
        {"client_id": "other"},
        {"client_id": None},
        {"jti": None},
        {"jti": "x" * 256},
        {"exp": now - 120},
        {"exp": None},
        {"iat": None},
        {"iat": now + 120},
        {"nbf": now + 120},
        {"iat": now, "exp": now + 3601},
        {"iss": "https://other.example"},
        {"sub": None},
        {"resource": None},
        {"scope": 7},
        {"cnf": {}},
        {"cnf": {"jkt": "x" * 43}},
        {"act": "somebody"},
        {"act": {"sub": "x" * 3000}},
        {"act": {"sub": "agent-7", "act": "somebody"}},
        {"act": {"sub": "agent\x007"}},
        {"act": {"sub": "agent\ud800"}},
        {"authorization_details": []},
        {"header": {"typ": None}},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"jku": "https://evil.example"}},
        {"header": {"kid": "unknown"}},
    ]
    for changes in wrong:
        assert error_of(bring(assertion(idp, **changes))) == "invalid_grant", changes
    text = assertion(idp)
    for altered in (text[:-4] + "AAAA", "a.b.c", idp.id_token(nonce=None)):
        assert error_of(bring(altered)) == "invalid_grant"
    assert error_of(bring("")) == "invalid_request"
    assert nothing_stands()
    assert bring(text).status_code == 200


@pytest.mark.parametrize(("typ", "state"), [("oauth-id-jag+jwt", "rejected"), ("JWT", "authenticated")])
def test_i25_an_assertion_signs_nobody_in_as_an_id_token(idp, client_, typ, state):
    """Spec 8.0: also where it is about the right client and the right sign-in. The type alone tells them apart."""
    browser = make_browser()
    assert get(browser, f"/authorize?{client_.authorize_query()}").status_code == 303
    browser.url = f"/authorizations/{PendingAuthorization.objects.get().pk}/id-token"
    text = assertion(idp, header={"typ": typ}, aud=idp.client_id, nonce=nonce_of(browser))
    answer = until_settled(lambda: send(browser, browser.url, {"id_token": text}))
    assert answer.json()["state"] == state, answer.content


def test_i26_only_clients_that_the_operator_named_come_with_it(idp, lazyauth):
    register(client_id="public")
    text = assertion(idp, client_id="public")
    assert error_of(bring(text, client_id="public", client_secret=None)) == "unauthorized_client"
    lazyauth(PROVIDERS={"acme": idp.config(id_jag=POLICY | {"clients": ["public"]})})
    assert error_of(bring(text, client_id="public", client_secret=None)) == "unauthorized_client"
    assert error_of(bring(assertion(idp))) == "unauthorized_client"
    assert error_of(bring(text, client_secret="wrong")) == "invalid_client"
    lazyauth(PROVIDERS={"acme": idp.config(id_jag=POLICY | {"clients": ["public"], "public_clients": True})})
    assert bring(text, client_id="public", client_secret=None).status_code == 200


def test_i26_a_token_has_what_organisation_operator_and_request_all_name(idp, lazyauth):
    assert (
        brought(assertion(idp, scope="notes:read openid offline_access upstream:acme"))["scope"]
        == "notes:read"
    )
    assert error_of(bring(assertion(idp, scope="openid"))) == "invalid_scope"
    assert error_of(bring(assertion(idp, resource="https://other.example"))) == "invalid_target"
    open_policy = POLICY | {"require_resource": False, "new_people": False}
    lazyauth(PROVIDERS={"acme": idp.config(id_jag=open_policy)})
    answer = brought(assertion(idp, resource=None, scope=None))
    assert decoded(answer["access_token"])[1]["aud"] == API
    assert error_of(bring(assertion(idp, sub="person-2"))) == "invalid_grant"
    lazyauth(PROVIDERS={"acme": idp.config(id_jag=open_policy | {"resources": [ISSUER]})})
    answer = brought(assertion(idp, resource=f"{ISSUER}/"), resource=ISSUER)
    assert decoded(answer["access_token"])[1]["aud"] == ISSUER
    assert User.objects.count() == 1


def test_i24_an_assertion_for_a_key_wants_its_proof(idp):
    key, other = ProofKey(), ProofKey()
    text = assertion(idp, cnf={"jkt": key.thumbprint}, act={"sub": "agent-7"})
    url = f"{ISSUER}/token"
    assert error_of(bring(text)) == "invalid_grant"
    assert error_of(bring(text, headers={"dpop": other.proof(url)})) == "invalid_grant"
    answer = bring(text, headers={"dpop": key.proof(url)}).json()
    claims = decoded(answer["access_token"])[1]
    assert (answer["token_type"], claims["cnf"], claims["act"]) == (
        "DPoP",
        {"jkt": key.thumbprint},
        {"sub": "agent-7"},
    )


def test_introspection_says_who_acts_also_of_an_opaque_token(idp, lazyauth):
    lazyauth(ACCESS_TOKEN_FORMAT="opaque")
    token = brought(assertion(idp, act={"sub": "agent-7"}, amr=["hwk"]))["access_token"]
    form = {"token": token, "client_id": "agent", "client_secret": CONFIDENTIAL_SECRET}
    said = post_form(make_browser(), "/introspect", form).json()
    assert (said["act"], said["amr"]) == ({"sub": "agent-7"}, ["hwk"])


def test_i6_an_address_that_is_taken_merges_nobody(idp, lazyauth):
    """A unique address is the host's; here the user names meet."""
    brought(assertion(idp, sub="person-1", email="same@acme.example", email_verified=True))
    brought(assertion(idp, sub="person-2", email="same@acme.example", email_verified=True))
    assert User.objects.count() == ProviderIdentity.objects.count() == 2


def test_a_provider_that_the_operator_did_not_name_speaks_for_nobody(upstream, idp, lazyauth):
    document = get(make_browser(), "/.well-known/oauth-authorization-server").json()
    assert GRANT in document["grant_types_supported"]
    assert document["authorization_grant_profiles_supported"] == [
        "urn:ietf:params:oauth:grant-profile:id-jag"
    ]
    lazyauth(PROVIDERS={"acme": upstream.config()})
    assert error_of(bring(assertion(upstream))) == "unsupported_grant_type"
    document = get(make_browser(), "/.well-known/oauth-authorization-server").json()
    assert GRANT not in document["grant_types_supported"]
    assert "authorization_grant_profiles_supported" not in document


def test_a_cold_domain_of_sso_speaks_for_its_people(sso, idp, lazyauth):
    """Spec 8.5: discovered while the request waits, and found by the address or the parameter."""
    lazyauth(PROVIDERS={}, SSO_ID_JAG=POLICY)
    brought(assertion(sso))
    brought(assertion(sso, email=None), discovery_domain="acme.example")
    assert error_of(bring(assertion(sso, email=None))) == "invalid_grant"
    assert error_of(bring(assertion(sso, email="x@other.example"))) == "invalid_grant"
    identity = ProviderIdentity.objects.get()
    assert (identity.provider, identity.sso_domain) == ("sso:acme.example", "acme.example")


def test_people_of_two_domains_of_one_issuer_are_of_the_domain_that_their_assertion_names(sso, idp, lazyauth):
    """Spec 8.5: by ``discovery_domain`` or ``email``, as where they sign in."""
    entry = {"issuer": sso.issuer, "client_id": "us"}
    domains = {"first.example": entry, "second.example": sso.sso_config(), "third.example": entry}
    lazyauth(PROVIDERS={}, SSO_ID_JAG=POLICY, SSO_DOMAINS=domains)
    brought(assertion(sso, sub="1", email="1@second.example"))
    brought(assertion(sso, sub="2", email="2@first.example"))
    brought(assertion(sso, sub="3", email="3@first.example"), discovery_domain="second.example")
    for email in (None, "4@elsewhere.example"):
        assert error_of(bring(assertion(sso, sub="4", email=email))) == "invalid_grant"
    lazyauth(SSO_DOMAINS={"first.example": entry})
    brought(assertion(sso, sub="4", email="4@elsewhere.example"))
    assert dict(ProviderIdentity.objects.values_list("subject", "sso_domain")) == {
        "1": "second.example",
        "2": "first.example",
        "3": "second.example",
        "4": "first.example",
    }


def test_a_domain_that_does_not_answer_in_time_is_asked_again_and_nothing_is_used_up(
    sso, idp, lazyauth, monkeypatch
):
    """Spec 8.0: 503 with ``Retry-After``, never 202."""
    lazyauth(PROVIDERS={}, SSO_ID_JAG=POLICY)
    text = assertion(sso)
    sso.control(hold_documents=True)
    with monkeypatch.context() as patch:
        patch.setattr(asserted, "PATIENCE", 0.2)
        answer = bring(text)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]
    assert nothing_stands()
    sso.control(hold_documents=False)
    assert brought(text)


def test_checks_name_what_is_unclear_or_weak(idp, lazyauth):
    def ids() -> set[str]:
        return {one.id for one in run_checks(include_deployment_checks=True, databases=["default"])}

    assert not {"lazyauth.E025", "lazyauth.E026", "lazyauth.W025", "lazyauth.E008"} & ids()
    lazyauth(PROVIDERS={"acme": idp.config(id_jag=POLICY | {"clients": ["agent", "nobody"]})})
    assert "lazyauth.E025" in ids()
    lazyauth(PROVIDERS={}, SSO_DOMAINS={}, SSO_ID_JAG=POLICY | {"clients": ["nobody"]})
    assert "lazyauth.E025" in ids()
    lazyauth(SSO_ID_JAG=None)
    weak = idp.config(id_jag=POLICY | {"public_clients": True})
    lazyauth(PROVIDERS={"acme": weak, "twin": weak | {"accounts_of": "acme"}})
    assert {"lazyauth.E026", "lazyauth.W025"} <= ids()
    for wrong in ({}, {"clients": ["agent"]}, POLICY | {"max_lifetime": 7200}, POLICY | {"client": []}):
        lazyauth(PROVIDERS={"acme": idp.config(id_jag=wrong)}, SSO_ID_JAG=wrong)
        assert {"lazyauth.E008", "lazyauth.E026"} <= ids(), wrong


@pytest.mark.parametrize("lifetime", [timedelta(minutes=10), lambda issued_for: timedelta(minutes=10)])
def test_a_session_that_has_nothing_left_is_shown_to_nobody(idp, lazyauth, lifetime):
    """It is never refreshed, and a client begins a new one each time."""
    lazyauth(ACCESS_TOKEN_LIFETIME=lifetime)
    brought(assertion(idp))
    assert sessions_of(User.objects.get())
    RefreshToken.objects.update(created=timezone.now() - timedelta(hours=2))
    assert not sessions_of(User.objects.get())


def test_i13_no_assertion_stands_in_logs_reports_or_the_database(idp, caplog):
    caplog.set_level(logging.DEBUG)
    texts = [assertion(idp), assertion(idp, aud="https://other.example")]
    with reported() as reports:
        assert bring(texts[0]).status_code == 200
        assert bring(texts[1]).status_code == 400
        assert bring(texts[0]).status_code == 400
    seen = database_text() + caplog.text + "".join(reports)
    seen += "".join(repr(vars(record)) for record in caplog.records)
    for text in texts:
        assert text.rpartition(".")[2] not in seen
        assert text.split(".")[1] not in seen
