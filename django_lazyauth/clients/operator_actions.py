"""What an operator does to clients in the admin: verify, disable, delete, set a secret, issue initial access tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connections, router, transaction
from django.utils import timezone

from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.kit.secret_digest import digest_secret
from django_lazyauth.models import ClientRegistration, ClientSource, InitialAccessToken
from django_lazyauth.models.fields import digest
from django_lazyauth.sessions import end
from django_lazyauth.signals import client_deleted
from django_lazyauth.toolkit import clients

from .shown import logo
from .store import ModelRegistrationStore, get_store, has_method

#: Default lifetime of an initial access token.
INITIAL_TOKEN_LIFETIME = timedelta(days=7)


def _database() -> str:
    return router.db_for_write(ClientRegistration)


def verify(client_pks: Iterable[Any]) -> int:
    """Verify these clients: pages no longer call them unverified, and they never expire."""
    pks = list(client_pks)
    # What it shows now is what the operator looked at.
    count = _decide(pks, verified_at=timezone.now(), logo_digest="")
    logo.fetch_soon(pks)
    return count


def unverify(client_pks: Iterable[Any]) -> int:
    """Take the verification of these clients back."""
    return _decide(list(client_pks), verified_at=None)


def disable(client_pks: Iterable[Any]) -> int:
    """Refuse these clients and their tokens from the next request on. The tokens stay for :func:`enable`.

    Sign-ins that are under way end, with codes that were not redeemed. Inside a transaction other processes see a
    client that works until it commits. What could become something until then ends after the commit.
    """
    pks = list(client_pks)
    count = _decide(pks, disabled_at=timezone.now())
    end.end_flows_at(pks)
    if connections[_database()].in_atomic_block:
        transaction.on_commit(partial(end.end_flows_at, pks), using=_database(), robust=True)
    return count


def enable(client_pks: Iterable[Any]) -> int:
    """Let these clients and their tokens work again."""
    return _decide(list(client_pks), disabled_at=None)


@retries_on_conflict
def _decide(pks: list[Any], **values: Any) -> int:
    missing = [ClientRegistration(client_id=pk, source=ClientSource.ELSEWHERE) for pk in pks]
    with transaction.atomic(using=_database()):
        ClientRegistration.objects.bulk_create(missing, ignore_conflicts=True)
        # An operator decided about the client: it gives its slot back and never expires.
        return ClientRegistration.objects.filter(client_id__in=pks).update(
            **values, slot=None, expires_at=None, updated_at=timezone.now()
        )


def set_metadata(client: clients.Client, members: Mapping[str, Any]) -> None:
    """Set members of the metadata beside a client that an operator made; ``None`` removes one.

    A self-registered client changes its own metadata, so nothing is set for it.
    """
    registration = clients.registration_of(client)
    known = registration.metadata if registration is not None else {}
    if clients.is_self_registered(client) or all(known.get(name) == members[name] for name in members):
        return
    with transaction.atomic(using=_database()):
        row, _created = ClientRegistration.objects.get_or_create(
            client_id=client.pk, defaults={"source": ClientSource.ELSEWHERE}
        )
        row = ClientRegistration.objects.select_for_update().get(pk=row.pk)
        changed = row.metadata | dict(members)
        row.metadata = {name: value for name, value in changed.items() if value is not None}
        row.updated_at = timezone.now()
        is_new_logo = row.metadata.get(logo.MEMBER) != known.get(logo.MEMBER)
        row.logo_digest = "" if is_new_logo else row.logo_digest
        row.save(update_fields=["metadata", "updated_at", "logo_digest"])
    if is_new_logo:
        logo.fetch_soon([client.pk])


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
        _unregister_in_store(ids)
    return ids, count


def _unregister_in_store(client_ids: list[str]) -> None:
    """Delete the clients from a host's own store too. Otherwise their next request would write them anew."""
    store = get_store()
    if isinstance(store, ModelRegistrationStore) or not has_method(store, "unregister_client"):
        return
    for client_id in client_ids:
        if (client := store.get_client(client_id)) is not None:
            store.unregister_client(client)


def new_secret(client_pk: Any) -> str:
    """Replace a client's secret and return the new one, which cannot be read again. The old one ends at once."""
    secret = secrets.token_urlsafe(32)
    clients.set_secret_digest(client_pk, digest_secret(secret))
    return secret


def issue_initial_access_token(row: InitialAccessToken) -> str:
    """Save *row* with a new token and return the token, which cannot be read again."""
    token = secrets.token_urlsafe(32)
    row.digest = digest(token)
    row.save()
    return token
