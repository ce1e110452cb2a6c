"""A client whose id is the URL of its metadata document (OAuth Client ID Metadata Document).

The document is fetched outside any transaction. The client then takes a slot among the unused ones (I16), and is
deleted when there is no slot for it.
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

from .last_used import note_use
from .store import ATTEMPTS, take_slot

WINDOW = timedelta(hours=1)


def look_up(client_id: str, http_request: HttpRequest, *, network: str) -> None:
    """Write or refresh the client of *client_id*, if that is the URL of a document.

    A new document counts as a registration of *network*: it costs a fetch and may become a row.
    """
    if not documents.is_document(client_id):
        return
    client = clients.load_client(client_id)
    if client is None:
        throttle = Throttle("client-document", lazyauth_settings.registrations_per_network, WINDOW)
        client = documents.resolve(client_id, http_request) if throttle.take(network) else None
    elif documents.is_stale(client):
        client = _refresh(client, http_request)
    if client is not None and clients.is_of_document(client):
        _ensure_registration(client, network)


def _refresh(client: clients.Client, http_request: HttpRequest) -> clients.Client:
    """Fetch the document anew. An operator verified the old metadata, so a change makes the client unverified."""
    renewed = documents.resolve(client.client_id, http_request)
    if renewed is None:
        return client
    if clients.metadata_digest(renewed) != clients.metadata_digest(client):
        ClientRegistration.objects.filter(client=renewed).update(verified_at=None)
    return renewed


def _ensure_registration(client: clients.Client, network: str) -> None:
    registration = clients.registration_of(client)
    if registration is not None:
        _extend_expired(registration)
        return
    if documents.is_used(client):
        # The client is older than this app and has tokens: it is in use and needs no slot.
        note_use(client)
        return
    for attempt in range(ATTEMPTS):
        try:
            _write_registration(client, network, attempt)
            return
        except IntegrityError:
            if ClientRegistration.objects.filter(client=client).exists():
                return
        except TemporarilyUnavailable:
            break
    clients.delete_clients([client.pk])


@retries_on_conflict
def _write_registration(client: clients.Client, network: str, attempt: int) -> None:
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        ClientRegistration.objects.create(
            client=client,
            source=ClientSource.OPEN,
            network=network,
            slot=take_slot(attempt),
            expires_at=timezone.now() + lazyauth_settings.unused_client_lifetime,
        )


def _extend_expired(registration: ClientRegistration) -> None:
    """Give an unused client that expired, and was not deleted yet, another lifetime."""
    now = timezone.now()
    if registration.expires_at is not None and registration.expires_at <= now:
        ClientRegistration.objects.filter(pk=registration.pk, last_used_at__isnull=True).update(
            expires_at=now + lazyauth_settings.unused_client_lifetime
        )
