"""Spec 8.6, ``audience=upstream:…``: a tool server that holds the person's token gets their upstream's."""

from __future__ import annotations

import logging

import pytest
from oauth2_provider.models import AccessToken

from django_lazyauth.grants.delegation import upstream_token
from django_lazyauth.models import PendingAuthorization, UsedProof
from django_lazyauth.sessions import end
from tests.grants.test_dpop import Session
from tests.support.delegation import ACCESS_TOKEN, API, TOOL, confidential, exchange, exchanged
from tests.support.dpop import ProofKey
from tests.support.journey import ISSUER, code_for
from tests.support.reports import reported
from tests.upstream.conftest import Holder, sign_in_upstream
from tests.vault.test_canary import FAILURES, database_text

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "canary0secret"
UPSTREAM = {"audience": "upstream:acme"}
POLICY = {"audiences": [API], "scopes": ["email"], "upstreams": {"acme": "notes:read"}}


@pytest.fixture
def held(upstream, client_, lazyauth) -> Holder:
    """What the client holds of somebody who signed in at the upstream, for the tool server."""
    confidential("tool")
    lazyauth(
        INTROSPECTION_CLIENTS={"tool": [TOOL, API]},
        TOKEN_EXCHANGE={"tool": POLICY},
        SCOPES={"notes:read": "Read your notes"},
    )
    upstream.control(prefix=f"{CANARY}-")
    client_.scope = "openid email notes:read"
    return Holder(upstream, sign_in_upstream(upstream, client_, resource=TOOL))


def error_of(answer):
    return answer.status_code, answer.json()["error"]


def test_a_tool_server_gets_the_upstreams_own_token_and_nothing_is_stored(held):
    """RFC 8693 §2.2.1: the upstream's type, scope and rest of life."""
    rows = AccessToken.objects.count()
    answer = exchanged(held.access_token, **UPSTREAM)
    token = held.upstream_token()
    left = answer.pop("expires_in")
    assert answer == {
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "scope": answer["scope"],
    }
    assert 0 < left <= 3600
    assert AccessToken.objects.count() == rows
    assert exchanged(held.access_token, **UPSTREAM)["access_token"] == token


def test_one_that_is_about_to_expire_is_renewed_first(held):
    before = held.upstream_token()
    held.expire()
    assert exchanged(held.access_token, **UPSTREAM)["access_token"] == held.upstream_token() != before


def test_i26_what_nobody_allowed_reaches_no_upstream(held):
    held.expire()
    asked = len(held.upstream.requests("/token"))
    for form, error in [
        ({"audience": "upstream:demo"}, "invalid_target"),
        ({"audience": "upstream:"}, "invalid_target"),
        ({"audience": ["upstream:acme", "upstream:acme"]}, "invalid_target"),
        ({"resource": API}, "invalid_target"),
        ({"scope": "notes:read"}, "invalid_scope"),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"client_secret": "wrong"}, "invalid_client"),
    ]:
        assert exchange(held.access_token, **UPSTREAM | form).json()["error"] == error, form
    assert len(held.upstream.requests("/token")) == asked


def test_i26_the_person_has_to_have_allowed_the_scope_and_the_operator_the_upstream(held, client_, lazyauth):
    client_.scope = "openid email"
    narrow = sign_in_upstream(held.upstream, client_, resource=TOOL)["access_token"]
    assert error_of(exchange(narrow, **UPSTREAM)) == (400, "invalid_target")
    lazyauth(TOKEN_EXCHANGE={"tool": {"audiences": [API], "scopes": ["notes:read"]}})
    assert error_of(exchange(held.access_token, **UPSTREAM)) == (400, "invalid_target")


def test_i26_a_token_that_was_handed_on_leads_to_no_upstream(held, lazyauth):
    """The account was connected in the session of another client."""
    lazyauth(TOKEN_EXCHANGE={"tool": POLICY | {"scopes": ["notes:read"]}})
    given = exchanged(held.access_token, audience=API)["access_token"]
    assert error_of(exchange(given, **UPSTREAM)) == (400, "invalid_target")


def test_somebody_who_did_not_connect_it_has_no_token_there(held, client_):
    token = Session(client_, None).redeem(code_for(client_, resource=TOOL)).json()["access_token"]
    assert error_of(exchange(token, **UPSTREAM)) == (400, "invalid_target")


def test_i11_after_the_session_ended_nothing_is_given(held):
    end.end_session(PendingAuthorization.objects.get().pk)
    assert error_of(exchange(held.access_token, **UPSTREAM)) == (400, "invalid_request")


def test_i11_a_session_that_ends_while_the_upstream_is_asked_gives_nothing(held, monkeypatch):
    """What allowed it is looked at again after the network."""
    fresh = upstream_token.fresh_token

    def slow(*args, **kwargs):
        found = fresh(*args, **kwargs)
        end.end_session(PendingAuthorization.objects.get().pk)
        return found

    monkeypatch.setattr(upstream_token, "fresh_token", slow)
    assert error_of(exchange(held.access_token, **UPSTREAM)) == (400, "invalid_request")


def test_i13_failures_of_the_upstream_are_told_by_their_kind_and_show_no_secret(held, caplog, lazyauth):
    """Try again later, ask the person to sign in, or nothing to be done."""
    caplog.set_level(logging.DEBUG)
    held.expire()
    held.upstream.control(token_answers=FAILURES)
    texts = []
    with reported() as reports:
        for failure in FAILURES[:-1]:
            answer = exchange(held.access_token, **UPSTREAM)
            assert error_of(answer) == (503, "temporarily_unavailable"), failure
            assert answer.headers["Retry-After"] == "5"
            texts += [answer.content.decode(), str(answer.headers)]
        answer = exchange(held.access_token, **UPSTREAM)
        assert error_of(answer) == (400, "invalid_grant")
        lazyauth(PROVIDERS={})
        again = exchange(held.access_token, **UPSTREAM)
    assert error_of(again) == (400, "invalid_target")
    texts += [answer.content.decode(), again.content.decode(), database_text(), *reports, caplog.text]
    texts += [repr(vars(record)) for record in caplog.records]
    assert [text for text in texts if CANARY in text] == []
    assert held.access_token not in caplog.text + "".join(reports)


def test_i24_a_proof_is_good_for_one_answer_and_a_refusal_uses_none_up(upstream, client_, lazyauth, held):
    own, caller = ProofKey(), ProofKey()
    proof = {"dpop": caller.proof(f"{ISSUER}/token")}
    refused = exchange(held.access_token, headers=proof, audience="upstream:demo")
    assert error_of(refused) == (400, "invalid_target")
    assert exchange(held.access_token, headers=proof, **UPSTREAM).status_code == 200
    assert error_of(exchange(held.access_token, headers=proof, **UPSTREAM)) == (400, "invalid_dpop_proof")
    assert UsedProof.objects.count() == 1
    # A bound token of the person: nobody uses it without a key.
    bound = Session(client_, own).redeem(code_for(client_, resource=TOOL)).json()["access_token"]
    assert error_of(exchange(bound, **UPSTREAM)) == (400, "invalid_dpop_proof")
