"""Which client does a request come from, and does it prove it (RFC 6749 §2.3, §3.2.1)?

A secret is checked on rows that the caller read. A key is checked before any transaction (:mod:`.by_key`).

Not here: whether a client may do what it asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from django.http import HttpRequest, QueryDict
from django.utils import timezone

from django_lazyauth.conf import allowed_algorithms, is_fapi2
from django_lazyauth.errors import InvalidClient, InvalidRequest
from django_lazyauth.kit.http import MalformedCredentials, parse_basic, without_empty
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.openid.jose import TokenRejected
from django_lazyauth.toolkit import client_methods, clients

from .by_key.assertion import ALGORITHMS, ASSERTION_TYPE, Assertion, read_assertion
from .by_key.prove import Proved, prove_by_key, refused
from .secrets import secret_proves, upgrade_secret


class Ambiguous(InvalidRequest):
    """The request says in two ways who it comes from (RFC 6749 §2.3: one authentication method a request)."""


class TwoClients(Ambiguous):
    """It names two clients."""


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
        assertion: Signed with the client's key; ``None`` without one. Its signature was not checked.
    """

    basic: Basic | None = None
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    assertion: Assertion | None = None

    @property
    def named(self) -> str:
        """The client that the request says it comes from: header's, assertion's, else the form's. May be empty."""
        if self.assertion is not None:
            return self.assertion.client_id
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
        InvalidClient: The header holds what no client can have, or the assertion can be nobody's.
        Ambiguous: There are two methods, or two clients are named. No client is looked up, so the answer tells nothing
            of them.
    """
    form = without_empty(http_request.POST)
    basic = read_basic(http_request.headers.get("Authorization", ""))
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if basic is not None and client_id and basic.client_id != client_id:
        raise TwoClients("The header and the form name two clients.")
    holds_assertion = "client_assertion" in form or "client_assertion_type" in form
    if sum((basic is not None, bool(secret), holds_assertion)) > 1:
        raise Ambiguous("The request holds credentials of two kinds.")
    if not holds_assertion and is_fapi2():
        raise InvalidClient("Clients prove themselves with a key at this site (FAPI 2.0).")
    return Credentials(basic, client_id, secret, _assertion_of(form) if holds_assertion else None)


def _assertion_of(form: QueryDict) -> Assertion:
    """Return the assertion of a form (RFC 7521 §4.2). One that was sent must hold: nothing else is tried."""
    sent, kind = form.get("client_assertion"), form.get("client_assertion_type")
    if sent is None or kind is None:
        raise Ambiguous("client_assertion and client_assertion_type come together.")
    if kind != ASSERTION_TYPE:
        raise refused("client_assertion_type")
    try:
        assertion = read_assertion(
            sent, timezone.now(), algorithms=allowed_algorithms(ALGORITHMS), takes_list=not is_fapi2()
        )
    except TokenRejected as rejected:
        raise refused(rejected.reason) from None
    if form.get("client_id", assertion.client_id) != assertion.client_id:
        raise TwoClients("The assertion and the form name two clients.")
    return assertion


def authenticate_by_key(credentials: Credentials) -> clients.Client | None:
    """Return the client that signed the assertion of a request, which is spent; ``None`` without an assertion.

    It may wait for the client's keys, and writes a row: no transaction may be open.

    Raises:
        InvalidClient: The assertion does not hold.
        TemporarilyUnavailable: The client's keys cannot be read now.
        TooManyRequests: A stranger's client sends too many.
    """
    proved = prove_unspent(credentials)
    if proved is None:
        return None
    proved.spend()
    return proved.client


def prove_unspent(credentials: Credentials) -> Proved | None:
    """Return the same for a caller that spends the assertion itself, with what it writes or after it failed.

    Raises:
        InvalidClient, TemporarilyUnavailable, TooManyRequests: As for :func:`authenticate_by_key`.
    """
    return prove_by_key(credentials.assertion) if credentials.assertion is not None else None


def authenticate(
    credentials: Credentials, known: clients.Client | None = None, *, by_key: clients.Client | None = None
) -> clients.Client:
    """Return the client that a request comes from.

    A confidential client proves itself. So does every client that sends credentials. A public client that sends none is
    taken at its word.

    Args:
        known: A client that was loaded already. If it is the one that is named, no query is made.
        by_key: What :func:`authenticate_by_key` returned for the same credentials, before the caller's transaction.

    Raises:
        InvalidClient: The client is unknown, disabled, or failed to authenticate.
    """
    if credentials.assertion is None and credentials.basic is None and not credentials.client_secret:
        client = _load(credentials.client_id, known)
        if client is None or client_methods.must_prove(client):
            raise InvalidClient
        return client
    return prove(credentials, known, by_key=by_key)


def prove(
    credentials: Credentials, known: clients.Client | None = None, *, by_key: clients.Client | None = None
) -> clients.Client:
    """Return the client whose key or secret a request holds. There is no other way in.

    Args:
        known, by_key: As for :func:`authenticate`.

    Raises:
        InvalidClient: The client is unknown, disabled, or failed to authenticate.
    """
    if credentials.assertion is not None:
        return _as_known(by_key, known)
    client = _proved(credentials, known)
    if client is None:
        raise InvalidClient
    if credentials.client_id and credentials.client_id != client.client_id:
        raise TwoClients("The request authenticates one client and names another.")
    return client


def _proved(credentials: Credentials, known: clients.Client | None) -> clients.Client | None:
    for client_id, secrets in credentials.attempts:
        client = known = _load(client_id, known)
        if client is None or not client_methods.may_use_secret(client):
            continue
        for secret in secrets:
            if secret_proves(secret, client):
                upgrade_secret(secret, client)
                return client
    return None


def _as_known(by_key: clients.Client | None, known: clients.Client | None) -> clients.Client:
    """Return the client that proved itself with its key, as it stands in the transaction of the caller.

    An operator may have disabled it while its keys were fetched.
    """
    client = _load(by_key.client_id, known) if by_key is not None else None
    if client is None:
        raise InvalidClient
    return client


def authenticate_confidential(
    credentials: Credentials, known: clients.Client | None = None
) -> clients.Client | None:
    """Return the client that proved itself with a secret, or ``None``.

    A public client is refused even with a secret: anybody may hold it.
    """
    client = _proved(credentials, known)
    return client if client is not None and clients.is_confidential(client) else None


def _load(client_id: str, known: clients.Client | None) -> clients.Client | None:
    """Return the usable client of this id. An operator who disabled it counts at once."""
    if known is None or known.client_id != client_id:
        return clients.find_client(client_id)
    return known if clients.is_usable(known) else None
