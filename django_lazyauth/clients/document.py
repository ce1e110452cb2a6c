"""A client shows up by the URL of its own document: it is fetched, and takes a place among the unused ones (I16).

Fetching comes first and outside any transaction. A client that no place can be found for goes again.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import TemporarilyUnavailable
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.toolkit import clients, documents

from .store import ATTEMPTS, take_place
from .use import note_use

WINDOW = timedelta(hours=1)


def look_up(client_id: str, http_request: HttpRequest, *, network: str) -> None:
    """Have the client of this id at hand, if it is one of a document; its document is read again when it is due.

    New documents count against the registrations of *network*: each may become a row, and costs a fetch.
    """
    if not documents.is_document(client_id):
        return
    client = clients.load_client(client_id)
    if client is None:
        throttle = Throttle("client-document", lazyauth_settings.registrations_per_network, WINDOW)
        client = documents.resolve(client_id, http_request) if throttle.take(network) else None
    elif documents.is_stale(client):
        client = _read_again(client, http_request)
    if client is not None and clients.is_of_document(client):
        _place(client, network)


def _read_again(client: clients.Client, http_request: HttpRequest) -> clients.Client:
    """What an operator verified was what the document said then: the client is unverified if that changed."""
    renewed = documents.resolve(client.client_id, http_request)
    if renewed is None:
        return client
    if clients.metadata_digest(renewed) != clients.metadata_digest(client):
        ClientRegistration.objects.filter(client=renewed).update(verified_at=None)
    return renewed


def _place(client: clients.Client, network: str) -> None:
    registration = clients.registration_of(client)
    if registration is not None:
        _come_back(registration)
        return
    if documents.is_used(client):
        # It was here before this app: no stranger who waits for somebody to allow it.
        note_use(client)
        return
    for attempt in range(ATTEMPTS):
        try:
            _take_place(client, network, attempt)
            return
        except IntegrityError:
            if ClientRegistration.objects.filter(client=client).exists():
                return
        except TemporarilyUnavailable:
            break
    clients.delete_clients([client.pk])


@retries_on_conflict
def _take_place(client: clients.Client, network: str, attempt: int) -> None:
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        ClientRegistration.objects.create(
            client=client,
            source=ClientSource.OPEN,
            network=network,
            slot=take_place(attempt),
            expires_at=timezone.now() + lazyauth_settings.unused_client_lifetime,
        )


def _come_back(registration: ClientRegistration) -> None:
    """Whoever waited too long without being used, and was not swept yet, begins to wait anew."""
    now = timezone.now()
    if registration.expires_at is not None and registration.expires_at <= now:
        ClientRegistration.objects.filter(pk=registration.pk, last_used_at__isnull=True).update(
            expires_at=now + lazyauth_settings.unused_client_lifetime
        )
