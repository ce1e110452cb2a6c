"""What is taken away while a request is under way that read it before: nothing of that request lives (I21).

Both orders: it has written and not committed, or it has read and not written.
"""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from oauth2_provider.models import AccessToken, RefreshToken, get_application_model

from django_lazyauth.authorize import code as authorization
from django_lazyauth.clients import operator_actions
from django_lazyauth.grants import client_credentials, refresh_token
from django_lazyauth.grants.delegation import id_jag, token_exchange
from django_lazyauth.grants.exchange import redeem as exchange_of_code
from django_lazyauth.models import ClientRegistration, Consent, PendingAuthorization, Status
from django_lazyauth.sessions import end
from django_lazyauth.tokens.bearer import find_bearer
from django_lazyauth.web import authorize
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support import devices
from tests.support.delegation import API, OTHER_API, POLICY, TOOL, confidential, exchange, exchanged
from tests.support.id_jags import assertion, bring, trust
from tests.support.journey import OAuthClient, code_for, get, make_browser, post_form, query_of, redeem
from tests.support.processes import together, until
from tests.tokens.conftest import machine_token, sign_in
from tests.web.site import ask, signed_in

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

GRANTS = ["authorization_code", "refresh_token", devices.DEVICE_CODE]


def user():
    return get_user_model().objects.get()


def client(client_id):
    return get_application_model().objects.get(client_id=client_id)


def disable(client_id):
    operator_actions.disable([client(client_id).pk])


def delete(client_id):
    operator_actions.delete([client(client_id).pk])


def deactivate(_client_id="") -> None:
    person = user()
    person.is_active = False
    person.save()


def sign_out(_client_id) -> None:
    end.end_all_sessions(user())


def withdraw(client_id) -> None:
    end.withdraw(user(), client(client_id))


@pytest.fixture
def race(waiting, monkeypatch):
    """Return what lets something be taken away while a request stands still, before or after *name* of *module*."""

    def run(request, take, module, name, *, after):
        real, reached, taken = getattr(module, name), [], []

        def standing(*args, **kwargs):
            found = real(*args, **kwargs) if after else None
            if not reached:
                reached.append(True)
                until(lambda: taken or waiting() == 1)
            return found if after else real(*args, **kwargs)

        def take_it():
            until(lambda: reached)
            take()
            taken.append(True)

        monkeypatch.setattr(module, name, standing)
        answer, _ = together(request, take_it)
        assert reached
        return answer

    return run


BOTH_ORDERS = pytest.mark.parametrize("after", [True, False], ids=["written", "read"])


# -- codes, devices, refreshes, and clients that act for themselves -------------------------------------------


def lives(answer) -> bool:
    """Say whether anything that *answer* gave is good for anything."""
    if answer.status_code != 200:
        return False
    given = answer.json()
    if find_bearer(given["access_token"]) is not None:
        return True
    form = {"grant_type": "refresh_token", "refresh_token": given.get("refresh_token", "-")}
    return post_form(make_browser(), "/token", form | {"client_id": "public-client"}).status_code == 200


def code_request():
    app = OAuthClient("public-client")
    return exchange_of_code, partial(redeem, app, code_for(app))


def refresh_request():
    token = sign_in(OAuthClient("public-client"))["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "public-client"}
    return refresh_token, partial(post_form, make_browser(), "/token", form)


def device_request():
    asked = devices.codes(client_id="public-client")
    devices.answer(make_browser(), asked)
    return exchange_of_code, partial(devices.poll, asked, client_id="public-client")


@BOTH_ORDERS
@pytest.mark.parametrize("take", [disable, delete, deactivate, sign_out, withdraw])
@pytest.mark.parametrize("begin", [code_request, refresh_request, device_request])
def test_i21_of_what_was_redeemed_meanwhile_nothing_lives(lazyauth, race, begin, take, after):
    """The row of the code or token is locked before all is read, and whoever takes it away waits for that row."""
    lazyauth(DEVICE_FLOW=True)
    register(client_id="public-client")
    row = client("public-client")
    ClientRegistration.objects.create(client=row, source="elsewhere", metadata={"grant_types": GRANTS})
    # The person is known, so that they can be taken away.
    sign_in(OAuthClient("public-client"))
    module, request = begin()
    answer = race(request, partial(take, "public-client"), module, "write", after=after)
    assert not lives(answer), answer.content
    assert answer.status_code in (200, 400, 401)


@BOTH_ORDERS
@pytest.mark.parametrize("take", [disable, delete])
def test_i21_a_token_of_a_client_that_was_taken_away_meanwhile_is_worth_nothing(db, race, take, after):
    confidential("tool")
    request = partial(machine_token, OAuthClient("tool", CONFIDENTIAL_SECRET), scope="profile")
    answer = race(request, partial(take, "tool"), client_credentials, "write", after=after)
    assert not lives(answer), answer.content
    assert answer.status_code in (200, 400, 401)


# -- the exchange of a token (RFC 8693) --------------------------------------------------------------------


@pytest.fixture
def token(db, lazyauth):
    """What a person's client holds for a tool server, whose token another may exchange once more."""
    confidential("tool")
    confidential("next")
    register(client_id="public-client")
    lazyauth(
        INTROSPECTION_CLIENTS={"tool": [TOOL], "next": [API]},
        TOKEN_EXCHANGE={"tool": POLICY, "next": POLICY | {"audiences": [OTHER_API]}},
    )
    return sign_in(OAuthClient("public-client"), resources=(TOOL,))["access_token"]


def is_active(token, client_id):
    form = {"token": token, "client_id": client_id, "client_secret": CONFIDENTIAL_SECRET}
    return post_form(make_browser(), "/introspect", form).json()["active"]


@BOTH_ORDERS
@pytest.mark.parametrize("take", [disable, delete, deactivate, sign_out, withdraw])
def test_i21_of_a_token_that_was_exchanged_meanwhile_nothing_lives(token, race, take, after):
    """RFC 8693. The client that the person signed in at is taken away, or they leave it."""
    taken = partial(take, "public-client")
    answer = race(partial(exchange, token), taken, token_exchange, "write", after=after)
    assert (answer.status_code, answer.json().get("error")) == (
        (200, None) if after else (400, "invalid_request")
    )
    assert not after or not is_active(answer.json()["access_token"], "tool")
    assert not AccessToken.objects.filter(application__client_id="tool").exists()


@BOTH_ORDERS
@pytest.mark.parametrize("take", [disable, delete])
def test_i21_what_a_client_in_the_middle_handed_on_meanwhile_ends_with_it(token, race, take, after):
    """RFC 8693 §4.1. The session goes on: the person's own client is not concerned."""
    given = exchanged(token)["access_token"]
    request = partial(exchange, given, client_id="next")
    answer = race(request, partial(take, "tool"), token_exchange, "write", after=after)
    assert answer.status_code == (200 if after else 400)
    assert not AccessToken.objects.filter(application__client_id="next").exists()
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1


def test_i21_what_is_handed_on_until_the_disabling_commits_ends_after_it(token):
    """Others see a client that works until then, and its new tokens: ``ATOMIC_REQUESTS``."""
    tokens = sign_in(OAuthClient("public-client"), resources=(TOOL,))
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}

    def hand_on():
        fresh = post_form(make_browser(), "/token", form | {"client_id": "public-client"}).json()
        return exchange(fresh["access_token"])

    with transaction.atomic():
        disable("public-client")
        (answer,) = together(hand_on)
        assert answer.status_code == 200, answer.content
    assert not AccessToken.objects.filter(application__client_id="tool").exists()


def test_exchanges_of_one_token_at_once_do_not_refuse_each_other(token):
    """They write to one row, and none changes it."""
    answers = together(*[partial(exchange, token)] * 6)
    assert [answer.status_code for answer in answers] == [200] * 6


# -- the word of an organisation (ID-JAG) ------------------------------------------------------------------


@pytest.mark.parametrize("is_written", [True, False], ids=["written", "read"])
def test_i21_who_is_deactivated_meanwhile_has_no_session_on_the_word_of_their_organisation(
    upstream, lazyauth, race, is_written
):
    """RFC 7523. No row of the session can be seen before its commit, so the two meet at the row of the person."""
    trust(upstream, lazyauth)
    assert bring(assertion(upstream)).status_code == 200
    end.end_all_sessions(user())
    module, name = (id_jag, "write") if is_written else (id_jag.registration, "known_identity")
    answer = race(partial(bring, assertion(upstream)), deactivate, module, name, after=True)
    expected = (200, None) if is_written else (400, "invalid_grant")
    assert (answer.status_code, answer.json().get("error")) == expected
    get_user_model().objects.update(is_active=True)
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()
    assert not AccessToken.objects.exists()


# -- a code without a question -----------------------------------------------------------------------------


@pytest.fixture
def allowed(client_):
    """A client that the person allowed everything, and a browser in which they are signed in."""
    assert redeem(client_, code_for(client_)).status_code == 200
    return client_, signed_in(user())


@pytest.mark.parametrize("prompt", ["", "none"])
def test_i8_a_code_for_which_the_consent_is_withdrawn_meanwhile_is_not_issued(allowed, race, prompt):
    """OpenID Connect Core §3.1.2.6. The consent was read before a row named the person, so nothing ended that row."""
    client_, browser = allowed
    asked = {"prompt": prompt} if prompt else {}
    taken = partial(withdraw, client_.client_id)
    answer = race(partial(ask, browser, client_, **asked), taken, authorize, "adopt_signed_in", after=False)
    assert not PendingAuthorization.objects.filter(status=Status.CODE_ISSUED).exists()
    assert not Consent.objects.exists()
    if prompt == "none":
        assert query_of(answer.headers["Location"])["error"] == "consent_required"
    else:
        assert "allow" in get(browser, answer.headers["Location"]).content.decode()


def test_i8_a_code_that_was_issued_while_its_consent_was_withdrawn_is_not_redeemed(
    allowed, waiting, monkeypatch
):
    """The other order: the withdrawal has looked for flows, and waits for the consent that the code needs."""
    client_, browser = allowed
    looked, issued = [], []
    end_sessions, note_use = end.end_sessions_at, authorization.note_use

    def look(*args, **kwargs):
        found = end_sessions(*args, **kwargs)
        looked.append(True)
        until(lambda: issued)
        return found

    def stand(*args):
        note_use(*args)
        issued.append(True)
        until(lambda: waiting() == 1)

    def request():
        until(lambda: looked)
        return ask(browser, client_)

    monkeypatch.setattr(end, "end_sessions_at", look)
    monkeypatch.setattr(authorization, "note_use", stand)
    answer, _ = together(request, partial(withdraw, client_.client_id))
    code = query_of(answer.headers["Location"])["code"]
    assert redeem(client_, code).json()["error"] == "invalid_grant"
    assert not Consent.objects.exists()
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()
