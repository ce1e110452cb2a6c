"""Where registered clients are kept. A host names its own class in ``LAZYAUTH["REGISTRATION_STORE"]``.

The endpoint owns validation, credentials and the protocol; a store keeps what it is given and finds it again.
It never sees a secret: what it gets are digests. ``django_lazyauth.testing.RegistrationStoreContract`` says in
tests what a store must do.

Of a store's methods only ``register_client`` is required. What is missing is refused, never allowed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, runtime_checkable

from django.db import IntegrityError, connections, router, transaction
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import LazyAuthError, RegistrationConflict, TemporarilyUnavailable
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.signals import client_deleted
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.clients import ClientFields

DEFAULT_STORE = "django_lazyauth.clients.store.ModelRegistrationStore"
OPTIONAL_METHODS = (
    "get_client",
    "registration_access_token_digest",
    "update_client",
    "unregister_client",
    "find_repeated",
)
#: An identical registration within this time is the same client.
REPEAT_WINDOW = timedelta(days=1)
#: When there is no place left, this share of the places is cleared at once, so that the next need no clearing.
CLEARED_SHARE = 100
#: Two at once may want the same place; the loser takes another.
ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class ClientAttributes:
    """A client as it is to be kept: checked, complete, and without any secret.

    Attributes:
        metadata: RFC 7591 members as the client will read them.
        secret_digest: Of the client secret, for ``toolkit.secrets.secret_matches``; empty for a public
            client, ``None`` in an update that leaves the secret as it is.
        registration_access_token_digest: SHA-256 in hex of the token that manages this client.
        expires_at: When a client that nobody used may go.
        repeat_key: Digest of network and metadata; the same for a registration that is the same. ``None`` for
            a client that is nobody else's.
    """

    client_id: str
    issued_at: datetime
    metadata: Mapping[str, Any]
    secret_digest: str | None = field(repr=False)
    registration_access_token_digest: str = field(repr=False)
    source: str = ClientSource.OPEN
    network: str = ""
    expires_at: datetime | None = None
    repeat_key: str | None = None
    initial_access_token_id: int | None = None


@runtime_checkable
class RegisteredClient(Protocol):
    """What a store returns: any object that says this much about a client."""

    @property
    def client_id(self) -> str: ...

    @property
    def issued_at(self) -> datetime: ...

    @property
    def metadata(self) -> Mapping[str, Any]: ...

    @property
    def secret_digest(self) -> str:
        """What the store was given; empty for a public client."""


class RegistrationStore(Protocol):
    """The contract. ``register_client`` is required; a class without another method refuses what needs it."""

    def register_client(self, attrs: ClientAttributes) -> RegisteredClient:
        """Keep a new client and return it.

        Raises:
            RegistrationRejected: The host does not want it (also ``ValidationError`` and ``IntegrityError``):
                400 ``invalid_client_metadata``. Anything else that is raised is an outage: 503.
        """

    def get_client(self, client_id: str) -> RegisteredClient | None:
        """Return the client, or ``None`` if there is none (any more). *client_id* is printable ASCII."""

    def registration_access_token_digest(self, client: RegisteredClient) -> str | None:
        """Return the digest to compare with; ``None`` if nobody manages this client."""

    def update_client(self, client: RegisteredClient, attrs: ClientAttributes) -> RegisteredClient:
        """Replace everything about *client*, its registration token included, and return it.

        Raises:
            RegistrationConflict: The registration token is not the one that *client* was read with: of two
                updates one wins.
            RegistrationRejected: As for :meth:`register_client`.
        """

    def unregister_client(self, client: RegisteredClient) -> None:
        """Forget *client*. Tokens, consents and sessions are ended by the endpoint."""


class AlreadyRegistered(LazyAuthError):
    """The very same registration was made a moment ago, by somebody who was faster."""

    def __init__(self, client: RegisteredClient) -> None:
        self.client = client
        super().__init__()


def get_store() -> Any:
    """Return the store in force.

    Raises:
        ImproperlyConfigured: Its path leads nowhere.
    """
    return lazyauth_settings.load("REGISTRATION_STORE", DEFAULT_STORE)()


# -- the default -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredClient:
    """A client of the default store, as it stood when it was read."""

    client_id: str
    issued_at: datetime
    metadata: Mapping[str, Any]
    secret_digest: str = field(repr=False)
    row_id: Any
    version: int
    token_digest: str = field(repr=False)

    @classmethod
    def of(cls, row: ClientRegistration) -> StoredClient:
        return cls(
            client_id=row.client.client_id,
            issued_at=row.created_at,
            metadata=row.metadata,
            secret_digest=row.client.client_secret,
            row_id=row.client_id,
            version=row.version,
            token_digest=row.token_digest,
        )


class ModelRegistrationStore:
    """Keeps a client as a row of django-oauth-toolkit's client model and a ``ClientRegistration`` beside it.

    The one place outside ``flows/`` that opens transactions: what a store's call does is one of them, whoever
    wrote the store.
    """

    def register_client(self, attrs: ClientAttributes) -> StoredClient:
        """Write both rows. A stranger's client takes one of the places that there are for unused ones (I16).

        Raises:
            AlreadyRegistered: The same registration from the same network stands already.
            TemporarilyUnavailable: Too many want a place at this moment.
        """
        for attempt in range(ATTEMPTS):
            try:
                return self._write(attrs, attempt)
            except IntegrityError:
                # The same client twice, or the same place: the unique constraints decided.
                if attrs.repeat_key and (known := self.find_repeated(attrs.repeat_key)):
                    raise AlreadyRegistered(known) from None
                if clients.load_client(attrs.client_id) is not None:
                    raise
        raise TemporarilyUnavailable("Too many clients register at this moment.")

    @retries_on_conflict
    def _write(self, attrs: ClientAttributes, attempt: int) -> StoredClient:
        with transaction.atomic(using=_database()):
            return StoredClient.of(write_registration(attrs, attempt=attempt))

    def get_client(self, client_id: str) -> StoredClient | None:
        row = ClientRegistration.objects.select_related("client").filter(client__client_id=client_id).first()
        return StoredClient.of(row) if row is not None and not row.is_over() else None

    def registration_access_token_digest(self, client: StoredClient) -> str | None:
        return client.token_digest or None

    @retries_on_conflict
    def update_client(self, client: StoredClient, attrs: ClientAttributes) -> StoredClient:
        with transaction.atomic(using=_database()):
            return StoredClient.of(replace_registration(client.row_id, client.version, attrs))

    def unregister_client(self, client: StoredClient) -> None:
        with transaction.atomic(using=_database()):
            # Of a deletion and a rotation of the token one wins, too.
            held = ClientRegistration.objects.filter(client_id=client.row_id, version=client.version)
            if held.select_for_update().first() is None:
                raise RegistrationConflict
            clients.delete_clients([client.row_id])

    def find_repeated(self, repeat_key: str) -> StoredClient | None:
        """Return the client of an identical registration that nobody used or changed since."""
        row = (
            ClientRegistration.objects.select_related("client")
            .filter(
                repeat_key=repeat_key,
                disabled_at__isnull=True,
                created_at__gt=timezone.now() - REPEAT_WINDOW,
            )
            .first()
        )
        return StoredClient.of(row) if row is not None and not row.is_over() else None


def forget_unused(client_pks: Iterable[Any]) -> int:
    """Delete clients that nobody used, in the caller's transaction; return how many, and tell of them after commit.

    Where the host keeps its clients elsewhere, only our row of them goes, and nobody is told.
    """
    pks = list(client_pks)
    ids: list[str] = []
    if isinstance(get_store(), ModelRegistrationStore):
        ids = list(clients.get_client_model().objects.filter(pk__in=pks).values_list("client_id", flat=True))
    count = clients.delete_clients(pks)
    for client_id in ids:
        told = partial(client_deleted.send_robust, sender=ClientRegistration, client_id=client_id)
        transaction.on_commit(told, using=_database())
    return count


def _database() -> str:
    return router.db_for_write(ClientRegistration)


def _fields(attrs: ClientAttributes) -> ClientFields:
    metadata = attrs.metadata
    return ClientFields(
        name=metadata.get("client_name", ""),
        redirect_uris=tuple(metadata["redirect_uris"]),
        post_logout_redirect_uris=tuple(metadata.get("post_logout_redirect_uris", ())),
        is_public=metadata["token_endpoint_auth_method"] == "none",
        secret_digest=attrs.secret_digest,
    )


def write_registration(attrs: ClientAttributes, *, attempt: int = 0) -> ClientRegistration:
    """Write client and registration, in the caller's transaction.

    Raises:
        IntegrityError: The client, the very registration or the place was taken meanwhile.
    """
    if attrs.repeat_key and attempt:
        # Held by a registration that `find_repeated` does not return any more: too old, disabled or over.
        ClientRegistration.objects.filter(repeat_key=attrs.repeat_key).update(repeat_key=None)
    counts = attrs.source == ClientSource.OPEN and attrs.expires_at is not None
    slot = take_place(attempt) if counts else None
    row = ClientRegistration(
        client=clients.add_client(attrs.client_id, _fields(attrs)),
        source=attrs.source,
        metadata=dict(attrs.metadata),
        token_digest=attrs.registration_access_token_digest,
        repeat_key=attrs.repeat_key,
        network=attrs.network,
        initial_access_token_id=attrs.initial_access_token_id,
        slot=slot,
        expires_at=attrs.expires_at,
        created_at=attrs.issued_at,
        updated_at=attrs.issued_at,
    )
    row.save(force_insert=True)
    return row


def replace_registration(client_row_id: Any, version: int, attrs: ClientAttributes) -> ClientRegistration:
    """Replace metadata and token of a registration that is still at *version*, in the caller's transaction.

    What an operator verified was what the client said then: it is unverified again if that changed.

    Raises:
        RegistrationConflict: It is not; somebody else was faster.
    """
    own = ClientRegistration.objects.filter(client_id=client_row_id)
    before = own.values_list("metadata", flat=True).first()
    changes: dict[str, Any] = {
        "metadata": dict(attrs.metadata),
        "token_digest": attrs.registration_access_token_digest,
        "version": version + 1,
        "repeat_key": None,
        "updated_at": timezone.now(),
    }
    if before != attrs.metadata:
        changes["verified_at"] = None
    if not own.filter(version=version, disabled_at__isnull=True).update(**changes):
        raise RegistrationConflict
    clients.replace_client(client_row_id, _fields(attrs))
    return own.select_related("client").get()


# -- places for the unused ---------------------------------------------------------------------------------


def take_place(attempt: int) -> int:
    """Return a place for one more unused client, in the caller's transaction; the oldest make room.

    Args:
        attempt: How often the place that was returned turned out to be taken.

    Places are given in a circle, so the next one is free, or its holder is about the oldest there is. Nothing
    is counted until the circle closes.
    """
    places = lazyauth_settings.max_unused_clients
    unused = ClientRegistration.objects.unused()
    last = unused.order_by("-pk").values_list("slot", flat=True).first()
    slot = 0 if last is None else (last + 1) % places
    if attempt:
        slot = (slot + secrets.randbelow(8 * attempt)) % places
    if not unused.filter(slot=slot).exists():
        return slot
    if unused[:places].count() < places:
        taken = set(unused.values_list("slot", flat=True))
        return next(other % places for other in range(slot, slot + places) if other % places not in taken)
    return _clear_oldest(places)


def _clear_oldest(places: int) -> int:
    oldest = ClientRegistration.objects.unused().order_by("pk")
    if connections[oldest.db].features.has_select_for_update_skip_locked:
        oldest = oldest.select_for_update(skip_locked=True)
    going = list(oldest.values_list("client_id", "slot")[: max(1, places // CLEARED_SHARE)])
    if not going:
        raise TemporarilyUnavailable("Too many clients register at this moment.")
    forget_unused([pk for pk, _ in going])
    return next((slot for _, slot in going if slot is not None and slot < places), 0)
