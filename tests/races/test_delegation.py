"""Exchanges of a person's token in many processes while the session ends: nothing lives after it (I11, I26)."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from functools import partial

import pytest
from oauth2_provider.models import AccessToken

from django_lazyauth.grants.delegation import token_exchange
from django_lazyauth.models import PendingAuthorization, TokenFacts
from django_lazyauth.sessions import end
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.delegation import (
    ACCESS_TOKEN,
    API,
    GRANT,
    OTHER_API,
    POLICY,
    TOOL,
    confidential,
    exchange,
    exchanged,
)
from tests.support.journey import OAuthClient
from tests.support.processes import together, until
from tests.support.racers import racer
from tests.tokens.conftest import sign_in

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

PROCESSES, EXCHANGES = 4, 52


@pytest.fixture
def token(db, lazyauth):
    """What a person's client holds for the tool server, which may exchange what it got once more."""
    confidential("tool")
    register(client_id="public-client")
    policy = POLICY | {"audiences": [API, OTHER_API]}
    lazyauth(INTROSPECTION_CLIENTS={"tool": [TOOL, API]}, TOKEN_EXCHANGE={"tool": policy})
    return sign_in(OAuthClient("public-client"), resources=(TOOL,))["access_token"]


def lives():
    return AccessToken.objects.exists() or TokenFacts.objects.exists()


@pytest.mark.slow
def test_i26_of_fifty_exchanges_while_the_session_ends_nothing_lives(token):
    """Spec 8.6."""
    given = exchanged(token, audience=API)["access_token"]
    form = {
        "grant_type": GRANT,
        "subject_token_type": ACCESS_TOKEN,
        "audience": OTHER_API,
        "client_id": "tool",
        "client_secret": CONFIDENTIAL_SECRET,
    }
    # Half of them exchange what was exchanged before.
    posts = [["/token", form | {"subject_token": one}] for one in (token, given)] * (
        EXCHANGES // PROCESSES // 2
    )
    with ExitStack() as stack:
        racers = [stack.enter_context(racer(work="post", posts=posts)) for _ in range(PROCESSES)]
        for one in racers:
            one.go()
        until(lambda: AccessToken.objects.count() > 5)
        end.end_session(PendingAuthorization.objects.get().pk)
        assert not lives()
        answers = Counter(status for one in racers for status, _body in one.result())
    assert set(answers) <= {200, 400}
    assert answers[200]
    assert not lives()


@pytest.mark.parametrize("depth", [1, 2])
def test_i26_an_end_that_waits_for_an_exchange_finds_what_it_gave(token, waiting, monkeypatch, depth):
    """The exchange has written and not committed when the session ends: the end is second, and sees it."""
    if depth == 2:
        token = exchanged(token, audience=API)["access_token"]
    written, write = [], token_exchange.write

    def slow(*args):
        write(*args)
        written.append(True)
        until(lambda: waiting() == 1)

    monkeypatch.setattr(token_exchange, "write", slow)

    def end_it():
        until(lambda: written)
        return end.end_session(PendingAuthorization.objects.get().pk)

    answer, was_alive = together(partial(exchange, token, audience=OTHER_API), end_it)
    assert (answer.status_code, was_alive) == (200, True)
    assert not lives()


def test_i26_an_exchange_that_waits_for_the_end_gives_nothing(token, waiting, monkeypatch):
    """The other order: the row of the exchanged token is gone."""
    ended, revoke = [], end.leave.delete

    def slow(*args, **kwargs):
        ended.append(True)
        until(lambda: waiting() == 1)
        return revoke(*args, **kwargs)

    monkeypatch.setattr(end.leave, "delete", slow)

    def late():
        until(lambda: ended)
        return exchange(token, audience=API)

    answer, _ = together(late, partial(end.end_session, PendingAuthorization.objects.get().pk))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert not lives()
