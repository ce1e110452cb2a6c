"""A client registers itself (RFC 7591), in whatever store the host chose.

The credentials are made here and leave with the answer. The store gets their digests.

Not here: what a client may say about itself (``metadata``), where it is kept (``store``), and how it manages its
registration later (``registration_management``).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from django_lazyauth.conf import allowed_algorithms, is_fapi2, lazyauth_settings
from django_lazyauth.errors import (
    InvalidToken,
    OAuthError,
    RegistrationClosed,
    TemporarilyUnavailable,
    TooManyRequests,
)
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.kit.secret_digest import digest_secret
from django_lazyauth.kit.throttle import Throttle, Verdict
from django_lazyauth.models import ClientRegistration, ClientSource, InitialAccessToken
from django_lazyauth.models.fields import digest, uuid7
from django_lazyauth.signals import client_registered
from django_lazyauth.tokens.keys import signing_algorithms
from django_lazyauth.toolkit.client_methods import BY_KEY, METHODS
from django_lazyauth.toolkit.scopes import available_scopes, default_scopes, extra_schemes
from django_lazyauth.users.subjects import served_subject_type

from .by_key.assertion import ALGORITHMS
from .members import Policy
from .metadata import ClientMetadata, parse_metadata
from .store import AlreadyRegistered, ClientAttributes, RegisteredClient, get_store, has_method, store_errors

WINDOW = timedelta(hours=1)
#: RFC 7591 §3.2.1: zero means never.
NEVER = 0


@dataclass(frozen=True, slots=True)
class Credentials:
    """The registration access token and the client secret, in the clear. The client reads them once."""

    token: str = field(repr=False)
    secret: str = field(default="", repr=False)

    @classmethod
    def new(cls, *, with_secret: bool) -> Credentials:
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32) if with_secret else "")

    def without_secret(self) -> Credentials:
        return Credentials(self.token)


def register(document: Any, *, network: str, initial_access_token: str = "") -> dict[str, Any]:
    """Register a client and return the client information response (RFC 7591 §3.2.1).

    Args:
        document: The parsed body.
        network: The network of the request. Registrations are limited per network.
        initial_access_token: The bearer token of the request, if there is one.

    Raises:
        OAuthError: The registration is refused, with the RFC's code and a status.
    """
    policy = lazyauth_settings.registration_policy
    if policy == "closed":
        raise RegistrationClosed("Clients do not register themselves here.")
    if policy == "token" and not initial_access_token:
        raise InvalidToken("An initial access token is needed to register.")
    metadata = parse_metadata(document, metadata_policy())
    if initial_access_token:
        return _register_with_token(metadata, initial_access_token, network)
    return _register_openly(metadata, network)


def metadata_policy() -> Policy:
    """Return what the settings let a client register."""
    flow = lazyauth_settings.device_flow
    return Policy(
        scopes=frozenset(available_scopes(None)),
        default_scopes=tuple(default_scopes(None)),
        extra_schemes=extra_schemes(),
        signing_algorithms=signing_algorithms(),
        allows_loopback=lazyauth_settings.allow_loopback_upstreams,
        takes_signed_requests=lazyauth_settings.request_objects,
        subject_type=served_subject_type(),
        serves_devices=flow is not None and flow.strangers,
        methods=(BY_KEY,) if is_fapi2() else METHODS,
        client_algorithms=allowed_algorithms(ALGORITHMS),
    )


def _register_with_token(metadata: ClientMetadata, token: str, network: str) -> dict[str, Any]:
    """Register on an operator's initial access token. Its uses are the only limit."""
    initial = retry_on_conflict(lambda: InitialAccessToken.objects.spend(token))
    if initial is None:
        raise InvalidToken("The initial access token is unknown, expired or spent.")
    try:
        return _register(
            metadata, source=ClientSource.TOKEN, network=network, initial_access_token_id=initial.pk
        )
    except OAuthError:
        InitialAccessToken.objects.give_back(initial.pk)
        raise


def _register_openly(metadata: ClientMetadata, network: str) -> dict[str, Any]:
    repeat_key = _repeat_key(metadata, network) if metadata.is_public else None
    if repeat_key and (known := _find_repeated(repeat_key)):
        return client_information(known)
    count_registration(network)
    return _register(metadata, source=ClientSource.OPEN, network=network, repeat_key=repeat_key)


def count_registration(network: str) -> None:
    """Count a registration of *network*, or what costs this site and others as much.

    Raises:
        TooManyRequests: It is one too many.
        TemporarilyUnavailable: Nothing is counted at the moment.
    """
    throttle = Throttle("registration", lazyauth_settings.registrations_per_network, WINDOW)
    match throttle.judge(network):
        case Verdict.BEYOND:
            raise TooManyRequests(
                "Too many clients were registered from this network. Try again later.",
                retry_after=throttle.seconds_left(),
            )
        case Verdict.UNKNOWN:
            # Without a count the limit cannot hold, so nobody registers.
            raise TemporarilyUnavailable("Registration is not possible at the moment.")


def _repeat_key(metadata: ClientMetadata, network: str) -> str:
    """Return the key for de-duplicating registrations.

    Public clients have no secret, so the same metadata from the same network returns the existing client.
    """
    return hashlib.sha256(f"{network}\n{metadata.digest}".encode()).hexdigest()


def _find_repeated(repeat_key: str) -> RegisteredClient | None:
    with store_errors():
        store = get_store()
        found: RegisteredClient | None = (
            store.find_repeated(repeat_key) if has_method(store, "find_repeated") else None
        )
    return found


def _register(metadata: ClientMetadata, **attributes: Any) -> dict[str, Any]:
    credentials = Credentials.new(with_secret=metadata.has_secret)
    now = timezone.now()
    attrs = ClientAttributes(
        client_id=uuid7().hex,
        issued_at=now.replace(microsecond=0),
        metadata=dict(metadata.members),
        secret_digest=digest_secret(credentials.secret) if credentials.secret else "",
        registration_access_token_digest=digest(credentials.token),
        expires_at=now + lazyauth_settings.unused_client_lifetime,
        **attributes,
    )
    try:
        with store_errors():
            client = get_store().register_client(attrs)
    except AlreadyRegistered as known:
        return client_information(known.client)
    client_registered.send_robust(sender=ClientRegistration, client_id=client.client_id)
    return client_information(client, credentials)


def client_information(client: RegisteredClient, credentials: Credentials | None = None) -> dict[str, Any]:
    """Return the client information response (RFC 7591 §3.2.1).

    Args:
        credentials: What the client has not read yet; ``None`` for a repeated registration. From then on nobody
            manages the client: one of those who share it could change or delete it for the others.
    """
    answer = {
        **client.metadata,
        "client_id": client.client_id,
        "client_id_issued_at": int(client.issued_at.timestamp()),
    }
    if credentials is not None:
        answer["registration_access_token"] = credentials.token
        path = reverse("lazyauth:registered-client", args=[client.client_id])
        answer["registration_client_uri"] = lazyauth_settings.issuer_origin + path
        if credentials.secret:
            answer["client_secret"] = credentials.secret
            answer["client_secret_expires_at"] = NEVER
    return answer
