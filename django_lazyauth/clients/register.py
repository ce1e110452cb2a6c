"""Clients register and manage themselves (RFC 7591, RFC 7592), over whatever store the host chose.

Credentials are made here and leave with the answer; a store gets their digests. Whatever is wrong with a
management request gives one and the same 401, found out in the same steps: who asks learns nothing about
clients that are not its own.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import (
    InvalidClientMetadata,
    InvalidToken,
    OAuthError,
    RegistrationClosed,
    RegistrationConflict,
    RegistrationRejected,
    TemporarilyUnavailable,
    TooManyRequests,
)
from django_lazyauth.grants.server_metadata import client_scopes, client_url, extra_schemes
from django_lazyauth.kit.retry import retries_on_conflict, retry_on_conflict
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import ClientRegistration, ClientSource, InitialAccessToken
from django_lazyauth.models.fields import digest, uuid7
from django_lazyauth.signals import client_deleted, client_registered, client_updated
from django_lazyauth.tokens.keys import signing_algorithms
from django_lazyauth.toolkit import clients

from .metadata import ClientMetadata, Policy, ReplacedMetadata, parse_metadata, parse_replacement
from .secrets import digest_secret, secret_matches
from .store import (
    AlreadyRegistered,
    ClientAttributes,
    ModelRegistrationStore,
    RegisteredClient,
    get_store,
    replace_registration,
    write_registration,
)

logger = logging.getLogger("django_lazyauth.registration")

T = TypeVar("T")
WINDOW = timedelta(hours=1)
#: What an unknown client's token is compared with: as long as a digest, and of nothing.
NO_DIGEST = "0" * 64
#: RFC 7591 §3.2.1: zero means never.
NEVER = 0


@dataclass(frozen=True, slots=True)
class _Credentials:
    """What is told once, and what is kept of it."""

    token: str
    secret: str = ""

    @classmethod
    def new(cls, *, with_secret: bool) -> _Credentials:
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32) if with_secret else "")


# -- registering -------------------------------------------------------------------------------------------


def register(document: Any, *, network: str, initial_access_token: str = "") -> dict[str, Any]:
    """Register a client and return the answer (RFC 7591 §3.2.1).

    Args:
        document: The parsed body.
        network: Where the request comes from; its registrations are counted.
        initial_access_token: The bearer token of the request, if it brought one.

    Raises:
        OAuthError: Refused; says why, with the RFC's code and a status.
    """
    policy = lazyauth_settings.registration_policy
    if policy == "closed":
        raise RegistrationClosed("Clients do not register themselves here.")
    if policy == "token" and not initial_access_token:
        raise InvalidToken("An initial access token is needed to register.")
    metadata = parse_metadata(document, _policy())
    if initial_access_token:
        return _register_invited(metadata, initial_access_token, network)
    return _register_stranger(metadata, network)


def _policy() -> Policy:
    scopes, default_scopes = client_scopes()
    return Policy(
        scopes,
        default_scopes,
        extra_schemes(),
        signing_algorithms(),
        lazyauth_settings.allow_loopback_upstreams,
    )


def _register_invited(metadata: ClientMetadata, token: str, network: str) -> dict[str, Any]:
    """Whoever has a token of the operator's is no stranger: its uses are the limit."""
    invitation = retry_on_conflict(lambda: InitialAccessToken.objects.spend(token))
    if invitation is None:
        raise InvalidToken("The initial access token is unknown, expired or spent.")
    try:
        return _register_new(
            metadata,
            source=ClientSource.TOKEN,
            network=network,
            initial_access_token_id=invitation.pk,
        )
    except OAuthError:
        InitialAccessToken.objects.give_back(invitation.pk)
        raise


def _register_stranger(metadata: ClientMetadata, network: str) -> dict[str, Any]:
    repeat_key = _repeat_key(metadata, network) if metadata.is_public else None
    if repeat_key and (known := _find_repeated(repeat_key)):
        return _answer(known)
    throttle = Throttle("registration", lazyauth_settings.registrations_per_network, WINDOW)
    if not throttle.take(network):
        raise TooManyRequests("Too many clients were registered from this network. Try again later.")
    return _register_new(metadata, source=ClientSource.OPEN, network=network, repeat_key=repeat_key)


def _repeat_key(metadata: ClientMetadata, network: str) -> str:
    """A public client has no secret that two could not share: the same again is the same client."""
    return hashlib.sha256(f"{network}\n{metadata.digest}".encode()).hexdigest()


def _find_repeated(repeat_key: str) -> RegisteredClient | None:
    find = getattr(get_store(), "find_repeated", None)
    found: RegisteredClient | None = _asked(lambda: find(repeat_key)) if find else None
    return found


def _register_new(metadata: ClientMetadata, **attributes: Any) -> dict[str, Any]:
    credentials = _Credentials.new(with_secret=not metadata.is_public)
    now = timezone.now()
    attrs = ClientAttributes(
        client_id=uuid7().hex,
        issued_at=now.replace(microsecond=0),
        metadata=metadata.as_dict(),
        secret_digest=digest_secret(credentials.secret) if credentials.secret else "",
        registration_access_token_digest=digest(credentials.token),
        expires_at=now + lazyauth_settings.unused_client_lifetime,
        **attributes,
    )
    try:
        client = _asked(lambda: get_store().register_client(attrs))
    except AlreadyRegistered as known:
        return _answer(known.client)
    client_registered.send_robust(sender=ClientRegistration, client_id=client.client_id)
    return _answer(client, credentials)


def _answer(client: RegisteredClient, credentials: _Credentials | None = None) -> dict[str, Any]:
    """Return what the client reads.

    Without *credentials* it is told of a client that stands already: who registered it first holds its token,
    and a second one would let strangers of one network manage each other's clients.
    """
    answer = {
        **client.metadata,
        "client_id": client.client_id,
        "client_id_issued_at": int(client.issued_at.timestamp()),
    }
    if credentials is not None:
        answer["registration_access_token"] = credentials.token
        answer["registration_client_uri"] = client_url(client.client_id)
        if credentials.secret:
            answer["client_secret"] = credentials.secret
            answer["client_secret_expires_at"] = NEVER
    return answer


# -- managing ----------------------------------------------------------------------------------------------


def read(client_id: str, token: str) -> dict[str, Any]:
    """Return the registration (RFC 7592 §2.1). The token stays as it is.

    Raises:
        InvalidToken: The token does not manage this client, or there is no such client.
    """
    _, client = _authenticate(client_id, token)
    return _answer(client, _Credentials(token))


def replace(client_id: str, token: str, *, read_document: Callable[[], Any]) -> dict[str, Any]:
    """Replace the registration and its token (RFC 7592 §2.2); of two at once one wins.

    The token comes before the body: for who has none, *read_document* is not called.

    Raises:
        InvalidToken: The token does not manage this client, or does so no longer.
        OAuthError: The new metadata cannot be registered.
    """
    store, client = _authenticate(client_id, token)
    update = getattr(store, "update_client", None)
    if update is None:
        raise _refused()
    replacement = parse_replacement(read_document(), _policy())
    _check_claims(client, replacement)
    metadata = replacement.metadata
    credentials = _Credentials.new(with_secret=not metadata.is_public and not client.secret_digest)
    attrs = ClientAttributes(
        client_id=client.client_id,
        issued_at=client.issued_at,
        metadata=metadata.as_dict(),
        secret_digest=_new_secret_digest(metadata, credentials),
        registration_access_token_digest=digest(credentials.token),
    )
    try:
        updated = _asked(lambda: update(client, attrs))
    except RegistrationConflict:
        raise _refused() from None
    _follow(store, updated)
    client_updated.send_robust(sender=ClientRegistration, client_id=client.client_id)
    return _answer(updated, credentials)


def _new_secret_digest(metadata: ClientMetadata, credentials: _Credentials) -> str | None:
    if credentials.secret:
        return digest_secret(credentials.secret)
    return "" if metadata.is_public else None


def _check_claims(client: RegisteredClient, replacement: ReplacedMetadata) -> None:
    """RFC 7592 §2.2: who repeats its id or secret must know them."""
    if replacement.client_id is not None and replacement.client_id != client.client_id:
        raise InvalidClientMetadata("client_id is not the one of this registration.")
    secret = replacement.client_secret
    if secret is not None and not (client.secret_digest and secret_matches(secret, client.secret_digest)):
        raise InvalidClientMetadata("client_secret is not the one of this registration.")


def unregister(client_id: str, token: str) -> None:
    """Delete the client and all that came of it, in one transaction (RFC 7592 §2.3).

    Raises:
        InvalidToken: The token does not manage this client, or there is no such client.
    """
    store, client = _authenticate(client_id, token)
    if getattr(store, "unregister_client", None) is None:
        raise _refused()
    try:
        _asked(lambda: _forget(store, client))
    except RegistrationConflict:
        raise _refused() from None
    client_deleted.send_robust(sender=ClientRegistration, client_id=client_id)


@retries_on_conflict
def _forget(store: Any, client: RegisteredClient) -> None:
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        store.unregister_client(client)
        if not isinstance(store, ModelRegistrationStore) and (row := clients.load_client(client.client_id)):
            clients.delete_clients([row.pk])


def _refused() -> InvalidToken:
    return InvalidToken("The registration access token is not valid for this client.")


def _authenticate(client_id: str, token: str) -> tuple[Any, RegisteredClient]:
    """Return the client that *token* manages. Every refusal takes the same steps.

    Raises:
        InvalidToken: No such client, disabled, deleted, somebody else's, or nobody manages it.
    """
    store = get_store()
    is_id = clients.is_client_id(client_id)
    row = clients.load_client(client_id if is_id else "-")
    client = _found(store, client_id if is_id else "-")
    known = _digest_of(store, client)
    matches = hmac.compare_digest(digest(token.encode(errors="replace").decode()), known or NO_DIGEST)
    if client is None or not matches or not known or (row is not None and not clients.is_usable(row)):
        raise _refused()
    return store, client


def _found(store: Any, client_id: str) -> RegisteredClient | None:
    get = getattr(store, "get_client", None)
    found: RegisteredClient | None = _asked(lambda: get(client_id)) if get else None
    return found


def _digest_of(store: Any, client: RegisteredClient | None) -> str | None:
    get = getattr(store, "registration_access_token_digest", None)
    if get is None or client is None:
        return None
    found = _asked(lambda: get(client))
    return found if isinstance(found, str) else None


# -- the store ---------------------------------------------------------------------------------------------


def _asked(call: Callable[[], T]) -> T:
    """Ask the store, and say in the protocol's words what it raised.

    Raises:
        InvalidClientMetadata: It does not want the client.
        TemporarilyUnavailable: It failed, in whatever way. What it said is not told to anybody (I13).
    """
    try:
        return call()
    except (AlreadyRegistered, RegistrationConflict, OAuthError):
        raise
    except RegistrationRejected as rejected:
        raise InvalidClientMetadata(rejected.description) from None
    except ValidationError as invalid:
        raise InvalidClientMetadata(" ".join(invalid.messages)) from None
    except IntegrityError:
        raise InvalidClientMetadata("The registration conflicts with another one.") from None
    except Exception as error:  # noqa: BLE001 - a host's store raises what its own libraries raise.
        logger.error("the registration store failed with %s", type(error).__name__)
        raise TemporarilyUnavailable("Registration is not possible at the moment.") from None


def materialise(client_id: str) -> bool:
    """Write the row of a client that a host's store keeps elsewhere; ``False`` if there is none to write.

    It counts among the unused until somebody allows it, and is written again when it comes back after that.
    """
    store = get_store()
    if isinstance(store, ModelRegistrationStore) or not clients.is_client_id(client_id):
        return False
    if clients.load_client(client_id) is not None:
        return False
    client = _found(store, client_id)
    if client is None:
        return False
    attrs = ClientAttributes(
        client_id=client.client_id,
        issued_at=client.issued_at,
        metadata=dict(client.metadata),
        secret_digest=client.secret_digest,
        registration_access_token_digest="",
        expires_at=timezone.now() + lazyauth_settings.unused_client_lifetime,
    )
    for attempt in range(3):
        try:
            with transaction.atomic(using=router.db_for_write(ClientRegistration)):
                write_registration(attrs, attempt=attempt)
        except IntegrityError:
            if clients.load_client(client_id) is not None:
                break
        else:
            break
    return True


def _follow(store: Any, client: RegisteredClient) -> None:
    """Let the row of a client that lives elsewhere say what its store says."""
    if isinstance(store, ModelRegistrationStore):
        return
    row = clients.load_client(client.client_id)
    registration = clients.registration_of(row) if row is not None else None
    if registration is None:
        return
    attrs = ClientAttributes(
        client_id=client.client_id,
        issued_at=client.issued_at,
        metadata=dict(client.metadata),
        secret_digest=client.secret_digest,
        registration_access_token_digest="",
    )
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        replace_registration(registration.client_id, registration.version, attrs)
