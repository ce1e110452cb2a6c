"""The row of a client that a host's own registration store keeps.

Tokens and consents need a row of django-oauth-toolkit's client model. It is written when the client first comes to
``/authorize``, and follows the store's updates. The default store needs nothing of this.
"""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, router, transaction
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import ClientRegistration
from django_lazyauth.toolkit import clients

from .store import (
    ClientAttributes,
    ModelRegistrationStore,
    RegisteredClient,
    get_store,
    has_method,
    replace_registration,
    store_errors,
    write_registration,
)

#: Two requests may write the row, or take the same slot.
ATTEMPTS = 3


def write_row(client_id: str) -> bool:
    """Write the row of a client that only the host's store knows; ``False`` if there is no such client.

    The client counts as unused until somebody allows it. After it expired, it is written anew at its next request.
    """
    store = get_store()
    if isinstance(store, ModelRegistrationStore) or not clients.is_client_id(client_id):
        return False
    if clients.load_client(client_id) is not None or not has_method(store, "get_client"):
        return False
    with store_errors():
        client = store.get_client(client_id)
    if client is None:
        return False
    attrs = _attributes(client, expires_at=timezone.now() + lazyauth_settings.unused_client_lifetime)
    for attempt in range(ATTEMPTS):
        try:
            with transaction.atomic(using=router.db_for_write(ClientRegistration)):
                write_registration(attrs, attempt=attempt)
            break
        except IntegrityError:
            if clients.load_client(client_id) is not None:
                break
    return True


def update_row(store: object, client: RegisteredClient) -> None:
    """Copy what the host's store says about *client* to its row, if it has one."""
    if isinstance(store, ModelRegistrationStore):
        return
    row = clients.load_client(client.client_id)
    registration = clients.registration_of(row) if row is not None else None
    if registration is None:
        return
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        replace_registration(registration.client_id, registration.version, _attributes(client))


def _attributes(client: RegisteredClient, *, expires_at: datetime | None = None) -> ClientAttributes:
    """Return *client* without its registration token: only the store manages it."""
    return ClientAttributes(
        client_id=client.client_id,
        issued_at=client.issued_at,
        metadata=dict(client.metadata),
        secret_digest=client.secret_digest,
        registration_access_token_digest="",
        expires_at=expires_at,
    )
