"""Which client does a request come from, and does it prove it (RFC 6749 §2.3, §3.2.1)?

Not here: whether a client may do what it asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from django.http import HttpRequest

from django_lazyauth.errors import InvalidClient, InvalidRequest
from django_lazyauth.kit.http import MalformedCredentials, parse_basic, without_empty
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.toolkit import clients

from .secrets import secret_proves, upgrade_secret


class TwoClients(InvalidRequest):
    """The header names one client, and the form another (RFC 6749 §2.3: one authentication method a request)."""


@dataclass(frozen=True, slots=True)
class Basic:
    """What a Basic header holds.

    Attributes:
        secrets: The secret decoded from form encoding (RFC 6749 §2.3.1), and as it was sent where that differs:
            curl, requests and Authlib do not encode.
    """

    client_id: str
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says about its client. Nothing is proved yet.

    Attributes:
        basic: ``None`` without a Basic header.
        client_id: Of the form; empty without one.
        client_secret: Of the form; empty without one.
    """

    basic: Basic | None = None
    client_id: str = ""
    client_secret: str = field(default="", repr=False)

    @property
    def named(self) -> str:
        """The client that the request says it comes from: the header's, else the form's. May be empty."""
        return (self.basic.client_id if self.basic else "") or self.client_id

    @property
    def attempts(self) -> list[tuple[str, tuple[str, ...]]]:
        """Client ids with the secrets that may prove them, in the order in which they are tried."""
        header = [(self.basic.client_id, self.basic.secrets)] if self.basic else []
        return [*header, (self.client_id, (self.client_secret,))]


def read_basic(header: str) -> Basic | None:
    """Return what an ``Authorization`` header holds; ``None`` if its scheme is another (RFC 7617 §2).

    Raises:
        InvalidClient: No client can have these credentials: they cannot be read, or hold NUL.
    """
    try:
        sent = parse_basic(header)
    except MalformedCredentials:
        raise InvalidClient from None
    if sent is None:
        return None
    client_id, secret = unquote_plus(sent.user_id), unquote_plus(sent.password)
    if has_bad_characters(client_id) or has_bad_characters(secret):
        raise InvalidClient
    return Basic(client_id, tuple(dict.fromkeys((secret, sent.password))))


def credentials_of(http_request: HttpRequest) -> Credentials:
    """Return what the header and the form of *http_request* say about its client.

    Raises:
        InvalidClient: The header holds what no client can have.
        TwoClients: Header and form name different clients. Neither is looked up, so the answer tells nothing of them.
    """
    form = without_empty(http_request.POST)
    basic = read_basic(http_request.headers.get("Authorization", ""))
    client_id = form.get("client_id", "")
    if basic is not None and client_id and basic.client_id != client_id:
        raise TwoClients("The header and the form name two clients.")
    return Credentials(basic, client_id, form.get("client_secret", ""))


def authenticate(credentials: Credentials, known: clients.Client | None = None) -> clients.Client:
    """Return the client that a request comes from.

    A confidential client proves itself with its secret. So does every client that sends credentials. A public
    client that sends none is taken at its word.

    Args:
        known: A client that was loaded already. If it is the one that is named, no query is made.

    Raises:
        InvalidClient: The client is unknown, disabled, or failed to authenticate.
    """
    if credentials.basic is None and not credentials.client_secret:
        client = _load(credentials.client_id, known)
        if client is None or clients.is_confidential(client):
            raise InvalidClient
        return client
    return prove(credentials, known)


def prove(credentials: Credentials, known: clients.Client | None = None) -> clients.Client:
    """Return the client whose secret a request holds. There is no other way in.

    Raises:
        InvalidClient: The client is unknown, disabled, or failed to authenticate.
    """
    client = _proved(credentials, known)
    if client is None:
        raise InvalidClient
    if credentials.client_id and credentials.client_id != client.client_id:
        raise TwoClients("The request authenticates one client and names another.")
    return client


def _proved(credentials: Credentials, known: clients.Client | None) -> clients.Client | None:
    for client_id, secrets in credentials.attempts:
        client = known = _load(client_id, known)
        if client is None:
            continue
        for secret in secrets:
            if secret_proves(secret, client):
                upgrade_secret(secret, client)
                return client
    return None


def authenticate_confidential(
    credentials: Credentials, known: clients.Client | None = None
) -> clients.Client | None:
    """Return the confidential client that a request comes from, or ``None``.

    A public client is refused even with a secret: anybody may hold it.
    """
    client = _proved(credentials, known)
    return client if client is not None and clients.is_confidential(client) else None


def _load(client_id: str, known: clients.Client | None) -> clients.Client | None:
    """Return the usable client of this id. An operator who disabled it counts at once."""
    if known is None or known.client_id != client_id:
        return clients.find_client(client_id)
    return known if clients.is_usable(known) else None
