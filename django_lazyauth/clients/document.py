"""A client whose id is the URL of its metadata document (OAuth Client ID Metadata Document).

The document is fetched outside any transaction. The client then takes a slot among the unused ones (I16), and is
deleted when there is no slot for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import OAuthError, TemporarilyUnavailable
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.kit.throttle import Throttle, Verdict
from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.toolkit import clients, documents

from .last_used import note_use
from .members import Json
from .metadata import ClientMetadata, parse_document
from .registration import metadata_policy
from .store import ATTEMPTS, take_slot

WINDOW = timedelta(hours=1)


def look_up(client_id: str, http_request: HttpRequest, *, network: str) -> str:
    """Write or refresh the client of *client_id*, if that is the URL of a document.

    A new document counts as a registration of *network*: it costs a fetch and may become a row.

    Returns:
        Why there is no such client, where its document says something that cannot be served; else an empty text.

    Raises:
        TemporarilyUnavailable: Nothing is known of a new client, because its document may not be fetched now.
    """
    if not documents.is_document(client_id):
        return ""
    client = clients.load_client(client_id)
    if client is None:
        throttle = Throttle("client-document", lazyauth_settings.registrations_per_network, WINDOW)
        verdict = throttle.judge(network)
        if verdict is Verdict.UNKNOWN:
            raise TemporarilyUnavailable(documents.NOT_NOW)
        if verdict is Verdict.BEYOND:
            return "Too many new clients were read for this network. Try again later."
        return _read(client_id, http_request, network)
    if documents.is_stale(client):
        # If it cannot be read now, the last one stands.
        try:
            _read(client_id, http_request, network)
        except TemporarilyUnavailable:
            if clients.is_of_document(client):
                _ensure_registration(client, network, metadata=None)
    elif clients.is_of_document(client):
        _ensure_registration(client, network, metadata=None)
    return ""


def _read(client_id: str, http_request: HttpRequest, network: str) -> str:
    """Fetch the document and keep what it says. Return why it cannot be used."""
    fetched = documents.fetch_document(client_id, http_request)
    if fetched is None:
        known = clients.load_client(client_id)
        if known is not None and clients.is_of_document(known):
            _ensure_registration(known, network, metadata=None)
        return documents.why_refused(client_id)
    try:
        metadata = parse_document(fetched.document, client_id, metadata_policy())
    except OAuthError as error:
        documents.back_off(client_id, error.description)
        return error.description
    client = _keep(client_id, metadata, fetched.fresh_until)
    if client is not None:
        _ensure_registration(client, network, metadata=metadata)
    return ""


def _keep(client_id: str, metadata: ClientMetadata, fresh_until: datetime) -> clients.Client | None:
    """Write what a document says. Of two requests that see it first, one writes the row."""
    for _ in range(2):
        try:
            return _write_client(client_id, metadata, fresh_until)
        except IntegrityError:
            continue
    return clients.load_client(client_id)


@retries_on_conflict
def _write_client(client_id: str, metadata: ClientMetadata, fresh_until: datetime) -> clients.Client | None:
    """Write the client, and what stands beside it already.

    An operator verified the old metadata, so a change that people see makes the client unverified.
    """
    members = dict(metadata.members)
    fields = clients.ClientFields(
        name=members.get("client_name", ""),
        redirect_uris=tuple(members["redirect_uris"]),
        post_logout_redirect_uris=tuple(members.get("post_logout_redirect_uris", ())),
        is_public=metadata.is_public,
        secret_digest="",
    )
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        before = clients.load_client(client_id)
        client = clients.keep_document_client(client_id, fields, fresh_until=fresh_until)
        if client is None or before is None:
            return client
        beside = ClientRegistration.objects.filter(client=client)
        beside.update(metadata=members, updated_at=timezone.now())
        client = clients.load_client(client_id)
        if clients.metadata_digest(client) != clients.metadata_digest(before):
            beside.update(verified_at=None)
    return client


def _ensure_registration(client: clients.Client, network: str, *, metadata: ClientMetadata | None) -> None:
    registration = clients.registration_of(client)
    if registration is not None:
        _extend_expired(registration)
        return
    members = dict(metadata.members) if metadata is not None else {}
    if documents.is_used(client):
        # The client is older than this app and has tokens: it is in use and needs no slot.
        note_use(client)
        ClientRegistration.objects.filter(client=client).update(metadata=members)
        return
    for attempt in range(ATTEMPTS):
        try:
            _write_registration(client, network, members, attempt)
            return
        except IntegrityError:
            if ClientRegistration.objects.filter(client=client).exists():
                return
    clients.delete_clients([client.pk])


@retries_on_conflict
def _write_registration(client: clients.Client, network: str, members: dict[str, Json], attempt: int) -> None:
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        ClientRegistration.objects.create(
            client=client,
            source=ClientSource.OPEN,
            metadata=members,
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
