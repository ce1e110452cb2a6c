"""A person is deleted while all that would call them by a subject is asked: each answer is a standard error (I18).

The deletion has ended their sessions and is not committed. Who asks sees them alive, or waits for it.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from oauth2_provider.models import AccessToken, get_application_model

from django_lazyauth.models import SubjectIdentifier
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.delegation.test_issue_id_jag import ID_JAG, ID_TOKEN, MCP, THERE
from tests.support.delegation import API, POLICY, exchange
from tests.support.devices import CLIENT_ID, DEVICE_CODE, answer, codes, poll
from tests.support.journey import OAuthClient, code_for, get, make_browser, post_form, redeem
from tests.support.processes import PATIENCE, together, until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def client(lazyauth):
    """Return a client that may do everything, and that knows people by their primary keys so far."""
    register(client_id=CLIENT_ID, authorization_grant_type=DEVICE_CODE, redirect_uris="")
    register(
        client_id="tool",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
    )
    there = {"clients": {"tool": "x"}, "scopes": ["a"], "resources": [MCP], "sso_client": CLIENT_ID}
    lazyauth(
        DEVICE_FLOW=True,
        TOKEN_EXCHANGE={"tool": POLICY},
        ID_JAG_AUDIENCES={THERE: there},
        ACCESS_TOKEN_FORMAT="opaque",
    )
    return OAuthClient("tool", CONFIDENTIAL_SECRET)


def post(path, **form):
    form = {"client_id": "tool", "client_secret": CONFIDENTIAL_SECRET, **form}
    return post_form(make_browser(), path, form)


def userinfo(token):
    return get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"})


def requests_of(client):
    """Return what is asked, and the error of each answer; ``None`` where it is one that the deletion comes after."""
    one, two = (redeem(client, code_for(client, subject="ada")).json() for _time in range(2))
    code, device = code_for(client, subject="ada"), codes()
    answer(make_browser(), device, subject="ada")
    # Like a token that an operator made: it belongs to no session.
    loose = AccessToken.objects.create(
        user=get_user_model().objects.get(),
        application=get_application_model().objects.get(client_id="tool"),
        token="loose",
        scope="openid",
        expires=timezone.now() + timedelta(hours=1),
    ).token
    to_the_other_server = {
        "requested_token_type": ID_JAG,
        "subject_token_type": ID_TOKEN,
        "audience": THERE,
        "scope": None,
    }
    return [
        (partial(userinfo, loose), (401, "invalid_token")),
        (partial(post, "/introspect", token=loose), (200, None)),
        (partial(userinfo, two["access_token"]), (200, None)),
        (partial(post, "/introspect", token=two["refresh_token"]), (200, None)),
        (
            partial(post, "/token", grant_type="refresh_token", refresh_token=one["refresh_token"]),
            (400, "invalid_grant"),
        ),
        (partial(redeem, client, code), (400, "invalid_grant")),
        (partial(poll, device), (400, "invalid_grant")),
        (partial(exchange, one["access_token"], audience=API), (400, "invalid_request")),
        (partial(exchange, two["id_token"], **to_the_other_server), (400, "invalid_request")),
    ]


def test_i18_who_is_deleted_while_they_would_get_a_subject_is_gone_for_each_who_asks(
    client, lazyauth, waiting
):
    """I18, I21: also where the row of the subject waits for the deletion."""
    asked = requests_of(client)
    lazyauth(SUBJECT_TYPE="pairwise")
    user, is_deleted, done = get_user_model().objects.get(), threading.Event(), []

    def delete():
        with transaction.atomic():
            user.delete()
            is_deleted.set()
            until(lambda: waiting() + len(done) == len(asked))

    def ask(work):
        assert is_deleted.wait(PATIENCE)
        try:
            return work()
        finally:
            done.append(work)

    _deleted, *answers = together(delete, *[partial(ask, work) for work, _expected in asked])
    found = [(one.status_code, one.json().get("error")) for one in answers]
    assert found == [expected for _work, expected in asked]
    assert answers[1].json() == {"active": False}
    assert not AccessToken.objects.exists()
    assert not SubjectIdentifier.objects.exists()
    assert not get_user_model().objects.exists()
