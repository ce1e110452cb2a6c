"""RFC 7592 §2.2: a client whose answer was lost sends the same request again, and loses nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from django_lazyauth.clients import succession
from django_lazyauth.models import ClientRegistration, InitialAccessToken
from django_lazyauth.models.fields import digest
from django_lazyauth.signals import client_updated
from tests.clients.conftest import CONFIDENTIAL, PUBLIC, Registrar
from tests.clients.test_managing import is_refused
from tests.support.faults import Fault, injected
from tests.support.journey import OAuthClient, code_for, make_browser, redeem, start

pytestmark = pytest.mark.django_db(transaction=True)

RENAMED = PUBLIC | {"client_name": "Renamed"}


@pytest.fixture
def registrar():
    return Registrar()


@pytest.mark.parametrize("document", [RENAMED, PUBLIC, CONFIDENTIAL], ids=["renamed", "same", "confidential"])
def test_the_same_replacement_again_gets_the_same_answer(registrar, any_store, document):
    """I23; a client secret that was made by the first one is in the second answer too."""
    body = registrar.registered(PUBLIC)
    if any_store == "files":
        start(make_browser(), OAuthClient(body["client_id"]))
    told = []
    client_updated.connect(receive := lambda sender, **kwargs: told.append(kwargs["client_id"]))
    lost = registrar.manage("PUT", body, document)
    again = registrar.manage("PUT", body, document)
    client_updated.disconnect(receive)
    assert (lost.status_code, again.status_code) == (200, 200)
    assert again.json() == lost.json()
    assert told == [body["client_id"]]
    new = again.json()
    assert new["registration_access_token"] != body["registration_access_token"]
    assert registrar.manage("GET", new).status_code == 200
    assert ("client_secret" in new) == (document is CONFIDENTIAL)
    client = OAuthClient(new["client_id"], new.get("client_secret"))
    assert redeem(client, code_for(client)).status_code == 200


def test_a_spent_token_does_nothing_but_repeat_its_replacement(registrar, any_store):
    """I17: it reads nothing, deletes nothing, and changes nothing."""
    body = registrar.registered(PUBLIC)
    new = registrar.manage("PUT", body, RENAMED).json()
    for method, document in (
        ("GET", None),
        ("DELETE", None),
        ("PUT", PUBLIC | {"client_name": "Another"}),
        ("PUT", CONFIDENTIAL),
    ):
        assert is_refused(registrar.manage(method, body, document)), method
    assert registrar.manage("GET", new).json()["client_name"] == "Renamed"


def test_after_the_grace_a_spent_token_is_refused(registrar, monkeypatch):
    now = [1_000_000_000.0]
    monkeypatch.setattr(succession.time, "time", lambda: now[0])
    body = registrar.registered(PUBLIC)
    registrar.manage("PUT", body, RENAMED)
    now[0] += succession.GRACE
    assert registrar.manage("PUT", body, RENAMED).status_code == 200
    now[0] += succession.GRACE
    assert is_refused(registrar.manage("PUT", body, RENAMED))


def test_a_token_two_replacements_old_is_refused(registrar):
    body = registrar.registered(PUBLIC)
    second = registrar.manage("PUT", body, RENAMED).json()
    third = registrar.manage("PUT", second, RENAMED).json()
    assert is_refused(registrar.manage("PUT", body, RENAMED))
    assert registrar.manage("PUT", second, RENAMED).json() == third


def test_the_grace_ends_with_the_client(registrar):
    """I11: what is deleted or disabled gives nothing back."""
    body = registrar.registered(PUBLIC)
    new = registrar.manage("PUT", body, RENAMED).json()
    assert registrar.manage("DELETE", new).status_code == 204
    assert is_refused(registrar.manage("PUT", body, RENAMED))


def test_without_the_key_of_the_site_a_spent_token_leads_nowhere(registrar, settings):
    """Whoever copied an old token and the database still has no token that works."""
    body = registrar.registered(PUBLIC)
    registrar.manage("PUT", body, RENAMED)
    settings.SECRET_KEY = "another-secret-key-of-another-site-0123456789-0123456789"
    assert is_refused(registrar.manage("PUT", body, RENAMED))


def test_the_same_replacement_many_times_at_once_is_one(registrar):
    body = registrar.registered(PUBLIC)

    def replace(_):
        try:
            return Registrar().manage("PUT", body, RENAMED)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(replace, range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert ClientRegistration.objects.get().version == 2


def test_i22_a_replacement_whose_commit_is_not_acknowledged_is_answered(registrar):
    """I22: the client gets its new token at once, or at its next try."""
    body = registrar.registered(PUBLIC)
    with injected(Fault(1, when="after_commit")) as fault:
        answer = registrar.manage("PUT", body, RENAMED)
    assert fault.fired
    assert answer.status_code == 200, answer.content
    assert registrar.manage("GET", answer.json()).status_code == 200


def test_i22_a_registration_whose_commit_is_not_acknowledged_is_answered(registrar):
    """I22: the client is known by the id that we made."""
    with injected(Fault(1, when="after_commit")) as fault:
        answer = registrar.register(CONFIDENTIAL)
    assert fault.fired
    assert answer.status_code == 201, answer.content
    assert registrar.manage("GET", answer.json()).status_code == 200
    assert ClientRegistration.objects.count() == 1


def test_i22_an_initial_access_token_is_not_given_back_for_a_client_that_stands(registrar):
    """I16, I22: its uses bound the clients, whatever was acknowledged."""
    from datetime import timedelta

    from django.utils import timezone

    InitialAccessToken.objects.create(
        digest=digest("initial"), max_uses=1, expires_at=timezone.now() + timedelta(hours=1)
    )
    with injected(Fault(1, when="after_commit")):
        registrar.register(CONFIDENTIAL, token="initial")
    assert InitialAccessToken.objects.get().uses == ClientRegistration.objects.count() == 1
