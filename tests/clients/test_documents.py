"""Clients whose id is the URL of their metadata document: fetched when they show up, capped like all strangers."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest
from django.utils import timezone
from oauth2_provider.cimd import CIMDError
from oauth2_provider.models import Application

from django_lazyauth.clients import operator_actions
from django_lazyauth.models import ClientRegistration, PendingAuthorization
from django_lazyauth.toolkit.documents import DocumentFetcher
from django_lazyauth.upkeep.sweep import sweep
from tests.support.journey import REDIRECT_URI, OAuthClient, code_for, get, make_browser, post_form, redeem

pytestmark = pytest.mark.django_db


class Documents:
    """What the servers of the clients hold. The host's own fetcher reads it: DOT's seam for that."""

    held: dict[str, dict] = {}
    fetched: list[str] = []

    def fetch(self, client_id):
        self.fetched.append(client_id)
        if client_id not in self.held:
            raise CIMDError("nothing there")
        return self.held[client_id], 300


@pytest.fixture
def documents(settings):
    settings.OAUTH2_PROVIDER = {
        **getattr(settings, "OAUTH2_PROVIDER", {}),
        "CIMD_ENABLED": True,
        "CIMD_METADATA_FETCHER": f"{__name__}.Documents",
    }
    Documents.held, Documents.fetched = {}, []

    def add(number=0, **members):
        url = f"https://client-{number}.example/oauth"
        Documents.held[url] = {
            "client_id": url,
            "client_name": f"Client {number}",
            "redirect_uris": [REDIRECT_URI],
        } | members
        return OAuthClient(url)

    return add


def knock(client, *, network=1):
    return get(
        make_browser(),
        f"/authorize?{client.authorize_query()}",
        REMOTE_ADDR=f"10.{network // 256}.{network % 256}.7",
    )


def test_a_client_is_known_by_its_document_and_its_person_signs_in(documents):
    client = documents()
    page = knock(client)
    assert page.status_code == 200
    assert "Client 0" in page.content.decode()
    assert redeem(client, code_for(client)).status_code == 200
    assert Documents.fetched == [client.client_id]
    registration = ClientRegistration.objects.get()
    assert (registration.slot, registration.expires_at) == (None, None), "it is used: no cap touches it"


def test_documents_of_strangers_never_exceed_the_cap(documents, lazyauth):
    """I16: every network is another one, so the cap alone holds."""
    lazyauth(MAX_UNUSED_CLIENTS=5)
    used = documents(999)
    redeem(used, code_for(used))
    for number in range(20):
        assert knock(documents(number), network=number).status_code == 200
        assert ClientRegistration.objects.unused().count() <= 5
        assert Application.objects.count() <= 6
    assert Application.objects.filter(client_id=used.client_id).exists()
    assert Application.objects.filter(client_id="https://client-19.example/oauth").exists()


def test_a_network_brings_no_more_documents_than_registrations(documents, lazyauth):
    """I16: each costs a fetch; one that stands already costs nothing."""
    lazyauth(REGISTRATIONS_PER_NETWORK=3)
    clients = [documents(number) for number in range(5)]
    assert [knock(client).status_code for client in clients] == [200, 200, 200, 400, 400]
    assert len(Documents.fetched) == 3
    assert knock(clients[0]).status_code == 200
    assert knock(clients[4], network=500).status_code == 200


def test_the_token_endpoint_never_fetches(documents):
    """Client ids there come from anybody, and a transaction is open."""
    client = documents()
    answer = redeem(client, "no-code-of-ours")
    assert answer.status_code in {400, 401}
    assert Documents.fetched == []
    assert not Application.objects.exists()


def test_a_document_that_is_due_is_read_again_when_a_flow_begins(documents):
    client = documents()
    code = code_for(client)
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    documents(client_name="Renamed")
    assert redeem(client, code).status_code == 200
    assert len(Documents.fetched) == 1
    assert "Renamed" in knock(client).content.decode()
    assert len(Documents.fetched) == 2


def test_a_document_that_changed_is_no_longer_what_the_operator_verified(documents):
    """Threat model: look-alike names. What somebody looked at was another name and another redirect URI."""
    client = documents()
    knock(client)
    operator_actions.verify(Application.objects.values_list("pk", flat=True))
    stale = {"cimd_expires_at": timezone.now() - timedelta(seconds=1)}
    Application.objects.update(**stale)
    assert "unverified" not in knock(client).content.decode().lower()
    Application.objects.update(**stale)
    documents(client_name="Your Bank")
    assert "unverified" in knock(client).content.decode().lower()
    assert ClientRegistration.objects.get().verified_at is None


def test_while_its_server_is_away_the_last_document_stands(documents):
    client = documents()
    knock(client)
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    Documents.held = {}
    assert "Client 0" in knock(client).content.decode()


def test_one_that_waited_too_long_comes_back_and_waits_anew(documents):
    client = documents()
    knock(client)
    ClientRegistration.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert knock(client).status_code == 200


def test_a_disabled_one_does_not_come_back(documents):
    client = documents()
    knock(client)
    ClientRegistration.objects.update(disabled_at=timezone.now())
    assert knock(client).status_code == 400


def test_without_a_cache_no_document_is_fetched_and_known_clients_go_on(documents, settings):
    """Threat model: Redis down → sign-in works, limits fail closed."""
    known = documents(1)
    knock(known)
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    assert knock(known).status_code == 200
    assert knock(documents(2)).status_code == 400


def test_one_without_a_place_is_swept(documents):
    """The process that fetched it was killed before it took one."""
    client = documents()
    knock(client)
    ClientRegistration.objects.all().delete()
    list(sweep(now=timezone.now() + timedelta(minutes=59)))
    assert Application.objects.exists()
    list(sweep(now=timezone.now() + timedelta(minutes=61)))
    assert not Application.objects.exists()


def test_one_that_was_used_before_this_app_came_stays_with_its_tokens(documents, lazyauth):
    """Spec 4: active clients never go. An existing site has clients of documents that no row of ours speaks of."""
    client = documents()
    tokens = redeem(client, code_for(client)).json()
    ClientRegistration.objects.all().delete()
    PendingAuthorization.objects.all().delete()
    list(sweep(now=timezone.now() + timedelta(hours=2)))
    form = {"grant_type": "refresh_token", "client_id": client.client_id}
    answer = post_form(make_browser(), "/token", form | {"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 200, answer.content
    # Nor does it take a place among the unused, or lose what it has where there is none.
    lazyauth(MAX_UNUSED_CLIENTS=1)
    knock(documents(2))
    assert knock(client).status_code == 200
    registration = Application.objects.get(client_id=client.client_id).lazyauth_registration
    assert (registration.slot, registration.expires_at) == (None, None)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b:1::7f00:1]", "2130706433", "0x7f.1"],
)
def test_our_fetcher_connects_to_nothing_that_is_not_public(documents, settings, host):
    """I14: it is the default, and a server on this machine hears nothing of it."""
    settings.OAUTH2_PROVIDER = {"CIMD_ENABLED": True}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        client = OAuthClient(f"https://{host}:{server.getsockname()[1]}/oauth")
        assert knock(client).status_code == 400
        with pytest.raises(TimeoutError):
            server.accept()
    with pytest.raises(CIMDError):
        DocumentFetcher().fetch(client.client_id)
