"""Where registered clients are kept. A host names its own class in ``LAZYAUTH["REGISTRATION_STORE"]``.

The endpoint validates, makes credentials and speaks the protocol. A store only saves and loads clients. It gets
digests, never a secret. ``django_lazyauth.testing.RegistrationStoreContract`` tests what a store must do.

Only ``register_client`` is required. A request that needs another method is refused where the class lacks it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, runtime_checkable

from django.core.exceptions import ValidationError
from django.db import IntegrityError, InterfaceError, OperationalError, connections, router, transaction
from django.db.models import F
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import (
    InvalidClientMetadata,
    LazyAuthError,
    OAuthError,
    RegistrationConflict,
    RegistrationRejected,
    TemporarilyUnavailable,
)
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.signals import client_deleted
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.client_methods import is_public_by
from django_lazyauth.toolkit.clients import ClientFields

logger = logging.getLogger("django_lazyauth.registration")

#: An identical registration within this time returns the existing client.
REPEAT_WINDOW = timedelta(days=1)
#: When all slots are taken, one in so many is cleared at once, so that the next registrations find a free one.
CLEARED_SHARE = 100
#: Concurrent registrations may choose the same slot. The unique constraint lets one have it; the others retry.
ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class ClientAttributes:
    """A client to save: checked, complete, and without any secret.

    Attributes:
        metadata: RFC 7591 members as the client will read them.
        secret_digest: Digest of the client secret, see ``clients.secrets``. Empty for a public client, ``None`` in
            an update that keeps the secret.
        registration_access_token_digest: SHA-256 in hex of the token that manages this client.
        expires_at: When the client may be deleted if nobody used it.
        repeat_key: Digest of network and metadata, equal for identical registrations. ``None`` for a confidential
            client, which is never shared.
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
    """What a store returns: any object with these attributes."""

    @property
    def client_id(self) -> str: ...

    @property
    def issued_at(self) -> datetime: ...

    @property
    def metadata(self) -> Mapping[str, Any]: ...

    @property
    def secret_digest(self) -> str:
        """The digest that the store was given; empty for a public client."""


class RegistrationStore(Protocol):
    """The contract of a store. Only ``register_client`` is required."""

    def register_client(self, attrs: ClientAttributes) -> RegisteredClient:
        """Save a new client and return it.

        Raises:
            RegistrationRejected: The host refuses the client (also ``ValidationError`` and ``IntegrityError``):
                400 ``invalid_client_metadata``. Any other error is an outage: 503.
        """

    def get_client(self, client_id: str) -> RegisteredClient | None:
        """Return the client, or ``None`` if it is unknown or deleted. *client_id* is printable ASCII."""

    def registration_access_token_digest(self, client: RegisteredClient) -> str | None:
        """Return the digest of the token that manages *client*; ``None`` if there is no such token."""

    def update_client(self, client: RegisteredClient, attrs: ClientAttributes) -> RegisteredClient:
        """Replace all attributes of *client*, its registration token too, and return it.

        Raises:
            RegistrationConflict: The registration token changed since *client* was read: of two updates one wins.
            RegistrationRejected: As for :meth:`register_client`.
        """

    def find_repeated(self, repeat_key: str) -> RegisteredClient | None:
        """Return the client of the identical registration, and let its registration token manage nothing any more.

        ``registration_access_token_digest`` returns ``None`` from then on: several share the client.
        """

    def unregister_client(self, client: RegisteredClient) -> None:
        """Delete *client*. The endpoint ends its tokens, consents and sessions in the same transaction."""


class AlreadyRegistered(LazyAuthError):
    """A concurrent request made the identical registration first."""

    def __init__(self, client: RegisteredClient) -> None:
        self.client = client
        super().__init__()


def get_store() -> Any:
    """Return an instance of the configured store.

    Raises:
        ImproperlyConfigured: Its path cannot be imported.
    """
    return lazyauth_settings.registration_store()


def has_method(store: Any, name: str) -> bool:
    """Say whether *store* has the optional method *name*. A host's class may also set it to ``None``."""
    return callable(getattr(store, name, None))


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what a host's store raises into errors of the protocol.

    Raises:
        InvalidClientMetadata: The store refuses the client.
        TemporarilyUnavailable: The store failed. The text of its error is neither logged nor sent (I13).
    """
    try:
        yield
    except (AlreadyRegistered, RegistrationConflict, OAuthError):
        raise
    except RegistrationRejected as rejected:
        raise InvalidClientMetadata(rejected.description) from None
    except ValidationError as invalid:
        raise InvalidClientMetadata(" ".join(invalid.messages)) from None
    except IntegrityError:
        raise InvalidClientMetadata("The registration conflicts with another one.") from None
    except Exception as error:  # noqa: BLE001 - a host's store raises what its own libraries raise
        logger.error("the registration store failed with %s", type(error).__name__)
        raise TemporarilyUnavailable("Registration is not possible at the moment.") from None


# -- the default store -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredClient:
    """A client of the default store, as it was read."""

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
    """Saves a client as a row of django-oauth-toolkit's client model and a ``ClientRegistration`` beside it."""

    def register_client(self, attrs: ClientAttributes) -> StoredClient:
        """Write both rows. A self-registered client takes one of the slots for unused clients (I16).

        Raises:
            AlreadyRegistered: An identical registration from the same network exists.
            TemporarilyUnavailable: Too many clients want a slot at this moment.
        """
        for attempt in range(ATTEMPTS):
            try:
                return self._write(attrs, attempt)
            except IntegrityError:
                # A concurrent request took the same repeat key or the same slot.
                if attrs.repeat_key and (known := self.find_repeated(attrs.repeat_key)):
                    raise AlreadyRegistered(known) from None
                if clients.load_client(attrs.client_id) is not None:
                    raise
            except (OperationalError, InterfaceError):
                # Our own COMMIT may have been done without being acknowledged (I22).
                connections[_database()].close_if_unusable_or_obsolete()
                if (written := self.get_client(attrs.client_id)) is None:
                    raise
                return written
        raise TemporarilyUnavailable("Too many clients register at this moment.")

    @retries_on_conflict
    def _write(self, attrs: ClientAttributes, attempt: int) -> StoredClient:
        with transaction.atomic(using=_database()):
            return StoredClient.of(write_registration(attrs, attempt=attempt))

    def get_client(self, client_id: str) -> StoredClient | None:
        row = ClientRegistration.objects.select_related("client").filter(client__client_id=client_id).first()
        return StoredClient.of(row) if row is not None and not row.is_inactive() else None

    def registration_access_token_digest(self, client: StoredClient) -> str | None:
        return client.token_digest or None

    @retries_on_conflict
    def update_client(self, client: StoredClient, attrs: ClientAttributes) -> StoredClient:
        with transaction.atomic(using=_database()):
            return StoredClient.of(replace_registration(client.row_id, client.version, attrs))

    def unregister_client(self, client: StoredClient) -> None:
        with transaction.atomic(using=_database()):
            # Of a deletion and an update one wins: the update changes the version.
            held = ClientRegistration.objects.filter(client_id=client.row_id, version=client.version)
            if held.select_for_update().first() is None:
                raise RegistrationConflict
            clients.delete_clients([client.row_id])

    @retries_on_conflict
    def find_repeated(self, repeat_key: str) -> StoredClient | None:
        """Return the client of an identical, recent registration. Updates remove its repeat key.

        Several share the client now, so its registration token manages nothing any more. An update or deletion that
        is under way with that token finds another version, and fails.
        """
        now = timezone.now()
        known = ClientRegistration.objects.using(_database()).filter(
            repeat_key=repeat_key, disabled_at__isnull=True, created_at__gt=now - REPEAT_WINDOW
        )
        known.exclude(token_digest="").update(token_digest="", version=F("version") + 1, updated_at=now)
        row = known.select_related("client").first()
        return StoredClient.of(row) if row is not None and not row.is_inactive() else None


def delete_unused(client_pks: Iterable[Any]) -> int:
    """Delete unused clients in the caller's transaction and return how many. ``client_deleted`` follows the commit.

    With a host's own store only our row is deleted. The client still exists there, so no signal is sent.
    """
    pks = list(client_pks)
    ids: list[str] = []
    if isinstance(get_store(), ModelRegistrationStore):
        ids = list(clients.get_client_model().objects.filter(pk__in=pks).values_list("client_id", flat=True))
    count = clients.delete_clients(pks)
    for client_id in ids:
        send = partial(client_deleted.send_robust, sender=ClientRegistration, client_id=client_id)
        transaction.on_commit(send, using=_database())
    return count


def _database() -> str:
    return router.db_for_write(ClientRegistration)


def _fields(attrs: ClientAttributes) -> ClientFields:
    metadata = attrs.metadata
    return ClientFields(
        name=metadata.get("client_name", ""),
        redirect_uris=tuple(metadata["redirect_uris"]),
        post_logout_redirect_uris=tuple(metadata.get("post_logout_redirect_uris", ())),
        is_public=is_public_by(metadata),
        secret_digest=attrs.secret_digest,
    )


def write_registration(attrs: ClientAttributes, *, attempt: int = 0) -> ClientRegistration:
    """Write client and registration, in the caller's transaction.

    Raises:
        IntegrityError: The client id, the repeat key or the slot was taken meanwhile.
    """
    if attrs.repeat_key and attempt:
        # Its owner is too old, disabled or expired: `find_repeated` did not return it.
        ClientRegistration.objects.filter(repeat_key=attrs.repeat_key).update(repeat_key=None)
    needs_slot = attrs.source == ClientSource.OPEN and attrs.expires_at is not None
    row = ClientRegistration(
        client=clients.add_client(attrs.client_id, _fields(attrs)),
        source=attrs.source,
        metadata=dict(attrs.metadata),
        token_digest=attrs.registration_access_token_digest,
        repeat_key=attrs.repeat_key,
        network=attrs.network,
        initial_access_token_id=attrs.initial_access_token_id,
        slot=take_slot(attempt) if needs_slot else None,
        expires_at=attrs.expires_at,
        created_at=attrs.issued_at,
        updated_at=attrs.issued_at,
    )
    row.save(force_insert=True)
    return row


def replace_registration(client_row_id: Any, version: int, attrs: ClientAttributes) -> ClientRegistration:
    """Replace metadata and token of a registration at *version*, in the caller's transaction.

    An operator verified the metadata of that time. Changed metadata makes the client unverified.

    Raises:
        RegistrationConflict: The registration is at another version, or disabled.
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


# -- slots for unused clients ------------------------------------------------------------------------------


class SlotsBusy(IntegrityError):
    """Concurrent registrations are clearing every slot. As one that was taken meanwhile, it is tried again."""


def take_slot(attempt: int) -> int:
    """Return a slot for one more unused client, in the caller's transaction. When all are taken the oldest go.

    Slots are given in a circle, so the next one is free or belongs to one of the oldest clients. Rows are counted
    only when it is not free.

    Args:
        attempt: How many slots turned out to be taken when the row was written.

    Raises:
        SlotsBusy: Try again.
    """
    slots = lazyauth_settings.max_unused_clients
    unused = ClientRegistration.objects.unused()
    last = unused.order_by("-pk").values_list("slot", flat=True).first()
    slot = 0 if last is None else (last + 1) % slots
    if attempt:
        slot = (slot + secrets.randbelow(8 * attempt)) % slots
    if not unused.filter(slot=slot).exists():
        return slot
    if unused[:slots].count() < slots:
        taken = set(unused.values_list("slot", flat=True))
        for other in range(slot, slot + slots):
            if other % slots not in taken:
                return other % slots
        # Concurrent registrations took the last ones since they were counted.
    return _clear_oldest(slots)


def _clear_oldest(slots: int) -> int:
    """Delete the oldest unused clients and return the slot of one of them."""
    oldest = ClientRegistration.objects.unused().order_by("pk")
    if connections[oldest.db].features.has_select_for_update_skip_locked:
        oldest = oldest.select_for_update(skip_locked=True)
    cleared = list(oldest.values_list("client_id", "slot")[: max(1, slots // CLEARED_SHARE)])
    if not cleared:
        raise SlotsBusy
    delete_unused([pk for pk, _ in cleared])
    return next((slot for _, slot in cleared if slot is not None and slot < slots), 0)
