"""Device, exchange and ID-JAG on a database that refuses a loser: the promises of the usual level, and no 5xx (I18)."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from oauth2_provider.models import AccessToken, RefreshToken, get_application_model

from django_lazyauth.clients import operator_actions
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, SubjectIdentifier, TokenFacts
from django_lazyauth.sessions import end
from tests.conftest import register
from tests.races.test_isolation import isolation  # noqa: F401 - an automatic fixture
from tests.support.delegation import API, POLICY, TOOL, confidential, exchange
from tests.support.devices import CLIENT_ID, DEVICE_CODE, answer, codes, poll
from tests.support.id_jags import POLICY as WORD
from tests.support.id_jags import assertion, bring, trust
from tests.support.journey import OAuthClient, code_for, make_browser, redeem
from tests.support.processes import together
from tests.tokens.conftest import decoded, sign_in

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

VENDORS = {"postgresql", "mysql"}
AT_ONCE = 6


def test_i5_assertions_of_two_clients_for_one_new_person_make_one_user(upstream, lazyauth):
    """Spec 8.5; and what each client calls that person is written once."""
    trust(upstream, lazyauth)
    confidential("other")
    lazyauth(
        PROVIDERS={"acme": upstream.config(id_jag=WORD | {"clients": ["agent", "other"]})},
        SUBJECT_TYPE="opaque",
    )
    assert bring(assertion(upstream, sub="first")).status_code == 200
    calls = [
        partial(bring, assertion(upstream, client_id=client_id), client_id=client_id)
        for client_id in ("agent", "other") * (AT_ONCE // 2)
    ]
    answers = together(*calls)
    assert [one.status_code for one in answers] == [200] * AT_ONCE, [one.content for one in answers]
    assert get_user_model().objects.count() == ProviderIdentity.objects.count() == 2
    assert len({decoded(one.json()["access_token"])[1]["sub"] for one in answers}) == 1
    assert SubjectIdentifier.objects.count() == 2


def test_i25_of_copies_of_an_assertion_one_is_taken(upstream, lazyauth):
    trust(upstream, lazyauth)
    assert bring(assertion(upstream, sub="first")).status_code == 200
    text = assertion(upstream)
    answers = together(*[partial(bring, text)] * AT_ONCE)
    assert Counter(one.status_code for one in answers) == {200: 1, 400: AT_ONCE - 1}


def test_a_subject_that_is_written_by_many_at_once_is_one(client_, lazyauth):
    """A known person, whom the client calls by a text from now on."""
    redeem(client_, code_for(client_))
    lazyauth(SUBJECT_TYPE="pairwise")
    several = [code_for(client_) for _ in range(AT_ONCE)]
    answers = together(*[partial(redeem, client_, code) for code in several])
    assert [one.status_code for one in answers] == [200] * AT_ONCE, [one.content for one in answers]
    told = {decoded(one.json()["id_token"])[1]["sub"] for one in answers}
    assert told == {SubjectIdentifier.objects.get().subject}


def test_i26_exchanges_while_the_session_ends_leave_nothing(client_, lazyauth):
    confidential("tool")
    lazyauth(INTROSPECTION_CLIENTS={"tool": [TOOL, API]}, TOKEN_EXCHANGE={"tool": POLICY})
    client = OAuthClient(client_.client_id)
    for _round in range(4):
        token = sign_in(client, resources=(TOOL,))["access_token"]
        session_id = PendingAuthorization.objects.latest("created_at").pk
        exchanges = [partial(exchange, token, audience=API)] * 4
        *answers, was_alive = together(*exchanges, partial(end.end_session, session_id))
        assert was_alive
        assert {one.status_code for one in answers} <= {200, 400}, [one.content for one in answers]
        assert not AccessToken.objects.exists()
        assert not TokenFacts.objects.exists()


def test_i21_exchanges_while_the_client_is_disabled_leave_nothing_handed_on(client_, lazyauth):
    confidential("tool")
    lazyauth(INTROSPECTION_CLIENTS={"tool": [TOOL, API]}, TOKEN_EXCHANGE={"tool": POLICY})
    key = get_application_model().objects.get(client_id=client_.client_id).pk
    for _round in range(4):
        operator_actions.enable([key])
        token = sign_in(OAuthClient(client_.client_id), resources=(TOOL,))["access_token"]
        exchanges = [partial(exchange, token, audience=API)] * 4
        *answers, _count = together(*exchanges, partial(operator_actions.disable, [key]))
        assert {one.status_code for one in answers} <= {200, 400}, [one.content for one in answers]
        assert not AccessToken.objects.filter(application__client_id="tool").exists()
        assert not TokenFacts.objects.exists()


def test_i26_what_was_exchanged_after_the_end_began_to_read_ends_too(client_, lazyauth):
    """The end reads, then the exchange is committed, then the end writes: its snapshot hides what it has to delete."""
    confidential("tool")
    lazyauth(INTROSPECTION_CLIENTS={"tool": [TOOL, API]}, TOKEN_EXCHANGE={"tool": POLICY})
    token = sign_in(OAuthClient(client_.client_id), resources=(TOOL,))["access_token"]
    answers = []

    def end_it():
        with transaction.atomic():
            session_id = PendingAuthorization.objects.get().pk
            assert AccessToken.objects.exists()
            if not answers:
                answers.extend(together(partial(exchange, token, audience=API)))
            return end.end_session(session_id)

    # Where the database refuses to write what changed since, it runs once more.
    assert retry_on_conflict(end_it)
    assert [one.status_code for one in answers] == [200], answers[0].content
    assert not AccessToken.objects.exists()
    assert not TokenFacts.objects.exists()


def test_i1_of_polls_after_the_person_allowed_it_one_family_begins(lazyauth):
    lazyauth(DEVICE_FLOW=True, SUBJECT_TYPE="opaque")
    register(client_id=CLIENT_ID, authorization_grant_type=DEVICE_CODE, redirect_uris="")
    asked = codes()
    answer(make_browser(), asked)
    answers = together(*[partial(poll, asked)] * AT_ONCE)
    assert [one.status_code for one in answers] == [200] * AT_ONCE, [one.content for one in answers]
    assert len({one.content for one in answers}) == 1
    assert RefreshToken.objects.count() == SubjectIdentifier.objects.count() == 1
