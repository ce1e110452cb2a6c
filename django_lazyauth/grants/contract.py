"""The values that a token request passes through: what was sent, what was settled, what comes back.

Not here: any decision. Each grant makes its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, Protocol
from uuid import UUID

from django.http import HttpRequest

from django_lazyauth.clients.authenticate import Ambiguous, Credentials, credentials_of
from django_lazyauth.clients.by_key.prove import Proved
from django_lazyauth.errors import (
    InvalidAuthorizationDetails,
    InvalidClient,
    InvalidRequest,
    LazyAuthError,
    OAuthError,
    ServerError,
    TemporarilyUnavailable,
)
from django_lazyauth.kit.http import without_empty
from django_lazyauth.kit.retry import is_conflict, is_outage
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.models import PendingAuthorization, Reason
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.openid.jose import TOKEN_LIMIT
from django_lazyauth.openid.people.id_jag import IdJagPolicy
from django_lazyauth.openid.people.verify_id_jag import VerifiedIdJag
from django_lazyauth.providers.base import Success
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.toolkit.clients import Client
from django_lazyauth.toolkit.models import AccessToken
from django_lazyauth.vault.read import UpstreamCredential

#: Characters of one parameter, and of those that may be longer.
MAX_PARAMETER_LENGTH: Final = 8 * 1024
MAX_LENGTH_OF: Final = dict.fromkeys(
    ("client_assertion", "request", "subject_token", "actor_token", "assertion"), TOKEN_LIMIT
)
#: The challenge for a client that failed to authenticate (RFC 6749 §5.2).
REALM: Final = 'Basic realm="token"'
#: Parameters that a request may repeat (RFC 8707 §2, RFC 8693 §2.1).
REPEATABLE: Final = frozenset({"resource", "audience"})


# -- what was sent -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """A checked form of a client. Empty parameters are absent (RFC 6749 §3.2).

    Attributes:
        parameters: Those with a value. Of ``resource`` and ``audience`` the last one.
        resources: Every ``resource`` with a value (RFC 8707 §2), in the order sent.
        audiences: Every ``audience`` with a value (RFC 8693 §2.1), in the order sent.
        credentials: What the request says about its client; not proved yet.
    """

    parameters: Mapping[str, str] = field(repr=False)
    resources: tuple[str, ...]
    credentials: Credentials
    http_request: HttpRequest = field(repr=False)
    audiences: tuple[str, ...] = ()

    def get(self, name: str) -> str:
        """Return the value of a parameter; empty if it is absent."""
        return self.parameters.get(name, "")

    def refuse_details(self) -> None:
        """Refuse to grant more than the client asked for (RFC 9396 §6): what narrows it is not read here.

        Raises:
            InvalidAuthorizationDetails: The request has ``authorization_details``.
        """
        if self.get("authorization_details"):
            raise InvalidAuthorizationDetails

    def require(self, name: str, description: str = "") -> str:
        """Return the value of a parameter.

        Raises:
            InvalidRequest: It is absent.
        """
        value = self.get(name)
        if not value:
            raise InvalidRequest(description or f"Missing {name} parameter.")
        return value


def read_form(http_request: HttpRequest) -> Form:
    """Return the form of a request to an endpoint where clients prove themselves.

    Raises:
        InvalidRequest: Parameters in the URL, another content type, credentials of two clients or two kinds, or a
            parameter that is repeated, too long or holds characters that no database can.
        InvalidClient: Credentials that no client can have.
    """
    if http_request.GET:
        raise InvalidRequest("Parameters belong into the body of the request.")
    if http_request.content_type != "application/x-www-form-urlencoded":
        raise InvalidRequest("The body must be application/x-www-form-urlencoded.")
    form = without_empty(http_request.POST)
    for name, values in form.lists():
        if len(values) > 1 and name not in REPEATABLE:
            raise InvalidRequest("A parameter is repeated.")
        limit = MAX_LENGTH_OF.get(name, MAX_PARAMETER_LENGTH)
        too_long = any(len(value) > limit for value in values)
        if too_long or any(map(has_bad_characters, (name, *values))):
            raise InvalidRequest("A parameter is too long or holds characters that it cannot hold.")
    return Form(
        parameters={name: str(value) for name, value in form.items()},
        resources=tuple(form.getlist("resource")),
        credentials=credentials_of(http_request),
        http_request=http_request,
        audiences=tuple(form.getlist("audience")),
    )


def client_id_of(http_request: HttpRequest) -> str:
    """Return the client that a request says it comes from, which nothing proves. Empty if it does not name one."""
    try:
        return credentials_of(http_request).named
    except InvalidClient:
        return str(http_request.POST.get("client_id", ""))
    except Ambiguous:
        return ""


# -- what was settled --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was settled before any transaction: what fetches, and what can be used once.

    Client secrets are checked in the transaction of the grant, on rows that it has read.

    Attributes:
        by_key: The client that proved itself with its key; ``None`` where the request holds no assertion.
        proof: Of a key, which the tokens are bound to. It holds; whether it was used before is not known yet. ``None``
            where the request holds none.
        upstream: The token of an upstream that the request is about; ``None`` for every other request.
        asserted: Whom a provider speaks for, and how far; ``None`` for every other request.
        unspent: The assertion of *by_key*, where the grant spends it with its writes. Else it is spent already.
    """

    by_key: Client | None = None
    proof: Proof | None = None
    upstream: UpstreamCredential | None = None
    asserted: Asserted | None = None
    unspent: Proved | None = None


@dataclass(frozen=True, slots=True)
class Asserted:
    """A provider's word for one of its people, checked.

    Attributes:
        issuer: Whose it is.
        signed_in: The person, and how they signed in there.
    """

    provider: OpenIDProvider
    policy: IdJagPolicy
    issuer: str
    granted: VerifiedIdJag
    signed_in: Success


# -- what comes back ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """Body, status and headers of an answer. It is JSON or signed, and no cache keeps it (RFC 6749 §5.1)."""

    body: str = field(repr=False)
    status: int = int(HTTPStatus.OK)
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @classmethod
    def of_error(cls, error: OAuthError) -> TokenAnswer:
        # A client that failed to authenticate is asked for Basic (RFC 6749 §5.2).
        challenge = {"WWW-Authenticate": REALM} if error.status == HTTPStatus.UNAUTHORIZED else {}
        return cls(json.dumps(error.as_dict()), int(error.status), challenge | error.headers())

    def with_headers(self, headers: Mapping[str, str]) -> TokenAnswer:
        """Return the same answer with more *headers*."""
        return replace(self, headers={**self.headers, **headers}) if headers else self


def error_of(failure: Exception) -> OAuthError:
    """Return what a client may know of *failure*, which nothing here expected: whether another try makes sense."""
    # Also a conflict that outlived its retries: a row was deleted meanwhile, and the next request sees that.
    is_passing = is_outage(failure) or is_conflict(failure)
    return TemporarilyUnavailable() if is_passing else ServerError()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a grant came to. An answer other than 200 rolls back all that the grant wrote, unless it is kept.

    Attributes:
        access_token: The row of a new access token, which is announced once it is committed.
        pending: The authorization behind a good code. Failures are counted there.
        ended_sessions: Sessions to end after the transaction: the request showed that a copy of a token exists.
        discarded: The authorization whose deferred registration can never be written. It is discarded after the
            transaction.
        reason: Why it cannot, for operators.
        error: What failed in the transaction, if anything.
        is_kept: Whether what the grant wrote stands, although the answer is an error: a poll of a device was counted.
        is_known: Whether what failed is known to be rolled back. The acknowledgement of its COMMIT may be lost.
    """

    answer: TokenAnswer
    access_token: AccessToken | None = None
    pending: PendingAuthorization | None = None
    ended_sessions: frozenset[UUID] = frozenset()
    discarded: PendingAuthorization | None = None
    reason: Reason = Reason.REFUSED_HERE
    error: Exception | None = None
    is_kept: bool = False
    is_known: bool = True

    @classmethod
    def of_refusal(cls, refusal: OAuthError, *, ended_session: UUID) -> Outcome:
        return cls(TokenAnswer.of_error(refusal), ended_sessions=frozenset({ended_session}))

    def failed(self, error: Exception, *, is_known: bool = True) -> Outcome:
        """Return the same, with *error* instead of an answer."""
        answer = TokenAnswer.of_error(error_of(error))
        return replace(self, answer=answer, access_token=None, error=error, is_known=is_known)


class Raced(LazyAuthError):
    """A concurrent request wrote the same first. The grant is run again, and sees what that request wrote.

    Attributes:
        outcome: What it comes to if it happens too often.
    """

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__()


class Grant(Protocol):
    """What a client gets for what it presents: one function a grant, run in one transaction.

    It makes no network request. It raises ``OAuthError`` for every refusal after which nothing has to be done.
    """

    def __call__(self, form: Form, prepared: Prepared) -> Outcome: ...
