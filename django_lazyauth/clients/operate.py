"""What an operator does to clients: stand for one, stop one, end one with all that came of it, hand out tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import router, transaction
from django.utils import timezone

from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import ClientRegistration, ClientSource, InitialAccessToken
from django_lazyauth.models.fields import digest
from django_lazyauth.signals import client_deleted
from django_lazyauth.toolkit import clients

from .secrets import digest_secret
from .store import ModelRegistrationStore, get_store

#: How long an initial access token may be used, unless the operator says otherwise.
INITIAL_TOKEN_LIFETIME = timedelta(days=7)


def verify(client_pks: Iterable[Any]) -> int:
    """Stand for these clients: pages no longer call them unverified, and they never expire."""
    return _decide(list(client_pks), verified_at=timezone.now())


def withdraw(client_pks: Iterable[Any]) -> int:
    """Stand for these clients no longer."""
    return _decide(list(client_pks), verified_at=None)


def disable(client_pks: Iterable[Any]) -> int:
    """Stop these clients from their next request on; their tokens are refused, and stay for :func:`enable`."""
    return _decide(list(client_pks), disabled_at=timezone.now())


def enable(client_pks: Iterable[Any]) -> int:
    """Let these clients work again, with the tokens that they have."""
    return _decide(list(client_pks), disabled_at=None)


@retries_on_conflict
def _decide(pks: list[Any], **values: Any) -> int:
    missing = [ClientRegistration(client_id=pk, source=ClientSource.ELSEWHERE) for pk in pks]
    with transaction.atomic(using=_database()):
        ClientRegistration.objects.bulk_create(missing, ignore_conflicts=True)
        # An operator's decision is kept: the row is no stranger's to be pushed out any more.
        return ClientRegistration.objects.filter(client_id__in=pks).update(
            **values, slot=None, expires_at=None, updated_at=timezone.now()
        )


def set_backchannel_logout_uri(client: clients.Client, uri: str) -> None:
    """Enter where an operator's client hears that sessions of its ended; empty: it hears nothing.

    What a client registered about itself is its own to change.
    """
    if clients.is_self_registered(client) or uri == clients.backchannel_logout_uri(client):
        return
    with transaction.atomic(using=_database()):
        row, _created = ClientRegistration.objects.get_or_create(
            client_id=client.pk, defaults={"source": ClientSource.ELSEWHERE}
        )
        row = ClientRegistration.objects.select_for_update().get(pk=row.pk)
        row.metadata = {**row.metadata, "backchannel_logout_uri": uri}
        row.updated_at = timezone.now()
        row.save(update_fields=["metadata", "updated_at"])


def _database() -> str:
    return router.db_for_write(ClientRegistration)


def delete(client_pks: Iterable[Any]) -> int:
    """Delete clients with their tokens, consents, pending authorizations and upstream tokens."""
    ids, count = _delete(list(client_pks))
    for client_id in ids:
        client_deleted.send_robust(sender=ClientRegistration, client_id=client_id)
    return count


@retries_on_conflict
def _delete(pks: list[Any]) -> tuple[list[str], int]:
    with transaction.atomic(using=_database()):
        ids = list(clients.get_client_model().objects.filter(pk__in=pks).values_list("client_id", flat=True))
        count = clients.delete_clients(pks)
        _forget_elsewhere(ids)
    return ids, count


def _forget_elsewhere(client_ids: list[str]) -> None:
    """Where a host's store keeps a client too, it would come back at its next request."""
    store = get_store()
    if isinstance(store, ModelRegistrationStore) or not hasattr(store, "unregister_client"):
        return
    for client_id in client_ids:
        kept = store.get_client(client_id)
        if kept is not None:
            store.unregister_client(kept)


def new_secret(client_pk: Any) -> str:
    """Replace a client's secret, at once, and return the new one: it cannot be read again."""
    secret = secrets.token_urlsafe(32)
    clients.set_secret_digest(client_pk, digest_secret(secret))
    return secret


def issue_initial_access_token(row: InitialAccessToken) -> str:
    """Save *row* with a new token and return the token: it cannot be read again."""
    token = secrets.token_urlsafe(32)
    row.digest = digest(token)
    row.save()
    return token
