"""The errors of the protocol: one class per RFC error code.

An error has two texts. ``description`` may be sent to the client. ``debug`` is for the operator's log only. Neither
holds a secret.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

_ERROR_CODE: Final = re.compile(r"[a-z_]{1,64}")
#: What no ``error_description`` may hold. A host's own words, or a value in ours, may bring it.
_OUTSIDE: Final = re.compile(r'[^\x20-\x7e]|["\\]')


def sayable(text: str) -> str:
    """Return *text* in the alphabet of an ``error_description`` (RFC 6749 §5.2), with ``?`` for what is not in it."""
    return _OUTSIDE.sub("?", text.replace('"', "'"))


class LazyAuthError(Exception):
    """Base of all errors that this app raises on purpose."""


class OAuthError(LazyAuthError):
    """An error with a code that an RFC registers (RFC 6749 §4.1.2.1, §5.2)."""

    error = "server_error"
    status = HTTPStatus.BAD_REQUEST
    #: Seconds after which another try makes sense, for ``Retry-After``; 0 where it makes none.
    retry_after = 0

    def __init__(self, description: str = "", *, debug: str = "") -> None:
        self.description = sayable(description)
        self.debug = debug
        super().__init__(self.description or self.error)

    def as_dict(self) -> dict[str, Any]:
        """Return the members of the JSON error response (RFC 6749 §5.2)."""
        body: dict[str, Any] = {"error": self.error}
        if self.description:
            body["error_description"] = self.description
        return body

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the error, wherever it is answered."""
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated, too long or malformed (RFC 6749 §4.1.2.1, §5.2)."""

    error = "invalid_request"


#: What a client reads that sends ``authorization_details``, at whichever endpoint.
DETAILS_REFUSED = "The authorization_details parameter is not supported (RFC 9396)."


class InvalidAuthorizationDetails(InvalidRequest):
    """A parameter narrows the request in a way that is not served, so nothing may be granted (RFC 9396 §5, §6)."""

    error = "invalid_authorization_details"

    def __init__(self) -> None:
        super().__init__(DETAILS_REFUSED)


class InvalidRequestUri(InvalidRequest):
    """What was pushed is unknown, changed, expired, another client's or used (RFC 9101 §7, RFC 9126 §4)."""

    error = "invalid_request_uri"

    def __init__(self) -> None:
        super().__init__("This request was used before or is too old (invalid_request_uri).")


class InvalidGrant(OAuthError):
    """Code, state or refresh token is unknown, spent or expired (RFC 6749 §5.2)."""

    error = "invalid_grant"


class InvalidClient(OAuthError):
    """The client is unknown or failed to authenticate (RFC 6749 §5.2)."""

    error = "invalid_client"
    status = HTTPStatus.UNAUTHORIZED


class UnauthorizedClient(OAuthError):
    """The client may not use this grant (RFC 6749 §5.2)."""

    error = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """The grant is unknown or off here (RFC 6749 §5.2)."""

    error = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """A scope is unknown, or more than was granted (RFC 6749 §5.2)."""

    error = "invalid_scope"


class InvalidTarget(OAuthError):
    """A resource is malformed, or was not granted (RFC 8707 §2)."""

    error = "invalid_target"


class AccessDenied(OAuthError):
    """The person or the server refused the request (RFC 6749 §4.1.2.1)."""

    error = "access_denied"


class InsufficientUserAuthentication(OAuthError):
    """The person has to sign in anew, or more strongly, for this (RFC 9470 §3).

    Attributes:
        acr_values: How strongly: one of these classes; empty: as before.
        max_age: Seconds that their sign-in may be old; ``None``: as old as it is.
    """

    error = "insufficient_user_authentication"

    def __init__(
        self, description: str = "", *, acr_values: tuple[str, ...] = (), max_age: int | None = None
    ) -> None:
        self.acr_values = acr_values
        self.max_age = max_age
        super().__init__(description)

    def as_dict(self) -> dict[str, Any]:
        named = {"acr_values": " ".join(self.acr_values)} if self.acr_values else {}
        return {**super().as_dict(), **named, **({} if self.max_age is None else {"max_age": self.max_age})}


class AuthorizationPending(OAuthError):
    """The person at the other device has not answered yet (RFC 8628 §3.5)."""

    error = "authorization_pending"


class SlowDown(OAuthError):
    """The same, and the device asked sooner than it may (RFC 8628 §3.5)."""

    error = "slow_down"


class ExpiredToken(OAuthError):
    """The device code is too old (RFC 8628 §3.5)."""

    error = "expired_token"


class InvalidToken(OAuthError):
    """A token in the request is unknown, expired, spent or for another purpose (RFC 6750 §3.1)."""

    error = "invalid_token"
    status = HTTPStatus.UNAUTHORIZED


class InvalidDpopProof(OAuthError):
    """The DPoP proof is missing, does not hold, or was used before (RFC 9449 §5)."""

    error = "invalid_dpop_proof"


class UseDpopNonce(OAuthError):
    """The DPoP proof needs a nonce of this server (RFC 9449 §8, §9).

    Attributes:
        nonce: What the next proof has to hold.
    """

    error = "use_dpop_nonce"

    def __init__(self, description: str = "", *, nonce: str, debug: str = "") -> None:
        self.nonce = nonce
        super().__init__(description, debug=debug)

    def headers(self) -> dict[str, str]:
        return super().headers() | {"DPoP-Nonce": self.nonce}


class InvalidRedirectUri(OAuthError):
    """A redirect URI is of a kind that must not be registered (RFC 7591 §3.2.2)."""

    error = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """The client's metadata cannot be registered (RFC 7591 §3.2.2)."""

    error = "invalid_client_metadata"


class RegistrationClosed(OAuthError):
    """Clients may not register themselves here (RFC 7591 §3.2.2 names no code for it)."""

    error = "access_denied"
    status = HTTPStatus.FORBIDDEN


class TooManyRequests(OAuthError):
    """This network sent too many requests; it may try again later (RFC 6585 §4)."""

    error = "temporarily_unavailable"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, description: str = "", *, retry_after: int, debug: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(description, debug=debug)


class ServerError(OAuthError):
    """The server failed; the client may try again (RFC 6749 §4.1.2.1)."""

    error = "server_error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR


class TemporarilyUnavailable(OAuthError):
    """Overloaded or under maintenance; the client may try again later (RFC 6749 §4.1.2.1)."""

    error = "temporarily_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after = 5


class LoginRequired(OAuthError):
    """``prompt=none``, and no person is signed in (OpenID Connect Core §3.1.2.6)."""

    error = "login_required"


class ConsentRequired(OAuthError):
    """``prompt=none``, and the person has not allowed this yet (OpenID Connect Core §3.1.2.6)."""

    error = "consent_required"


class InteractionRequired(OAuthError):
    """``prompt=none``, and a page would have to be shown (OpenID Connect Core §3.1.2.6)."""

    error = "interaction_required"


class ProviderError(LazyAuthError):
    """A provider could not sign the person in. The person may try again or choose another provider.

    ``reason`` is a short word of ours for logs and pages. It never contains text from the upstream.

    Attributes:
        who: Subject and e-mail address of the person, where the provider said them and they are refused all the same.
        stage: What was being done: ``authorization``, ``token``, ``userinfo``, ``id_token``, ``keys`` …; or empty.
        upstream_error: The error code of the upstream where it has the shape of one of RFC 6749, else empty.
        http_status: Of the upstream's answer; ``None`` where there was none.
    """

    def __init__(
        self,
        reason: str,
        *,
        debug: str = "",
        stage: str = "",
        upstream_error: object = "",
        http_status: int | None = None,
        who: tuple[str, str] = ("", ""),
    ) -> None:
        self.who = who
        self.reason = reason
        self.debug = debug
        self.stage = stage
        self.upstream_error = error_code(upstream_error)
        self.http_status = http_status
        super().__init__(reason)

    @property
    def detail(self) -> str:
        """The reason, and what is said to the operator beside it."""
        return f"{self.reason}: {self.debug}" if self.debug else str(self.reason)


def error_code(value: object) -> str:
    """Return what an upstream names as its error if that may be logged; empty otherwise (I13)."""
    return value if isinstance(value, str) and _ERROR_CODE.fullmatch(value) else ""


class ProviderUnavailable(ProviderError):
    """The upstream did not answer, gave an invalid answer, or is no longer configured."""


class ProviderDenied(ProviderError):
    """The upstream, or the person there, refused."""


class IdentityRejected(ProviderError):
    """The upstream answered, and the identity in the answer failed a check."""


class RegistrationRefused(LazyAuthError):
    """A new user is refused, for a reason that the client may show to the person.

    Raise it in a user resolver, in ``finalize`` or in a ``user_registered`` receiver: everything is rolled
    back, the client gets ``invalid_grant`` with ``description``, and the deferred registration is discarded. Write it
    in ASCII: RFC 6749 §5.2 allows nothing else, and other characters are replaced.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        super().__init__(description)


class RegistrationRejected(LazyAuthError):
    """A registration store refuses this client, for a reason that the client may read.

    Raise it in ``register_client`` or ``update_client``: nothing is stored, the client gets
    ``invalid_client_metadata`` with ``description``.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        super().__init__(description)


class RegistrationConflict(LazyAuthError):
    """The registration was changed since it was read. Of two concurrent writers one wins."""


class SealBroken(LazyAuthError):
    """A sealed value cannot be opened: wrong place, wrong key, or changed (I12)."""


class BundleNotFound(LazyAuthError):
    """No upstream tokens for this session, provider, user and client. Which of them is wrong is not told."""


class RefreshError(LazyAuthError):
    """No fresh upstream token is available.

    Attributes:
        provider: Logical name.
        code: The upstream's error code if it gave one, else a short word of ours. Never its other text.
    """

    def __init__(self, provider: str, code: str) -> None:
        self.provider = provider
        self.code = code
        super().__init__(provider, code)

    def __str__(self) -> str:
        return f"{self.provider}: {self.code}"


class RefreshExpired(RefreshError):
    """The upstream no longer accepts our tokens. The person must sign in there again."""


class RefreshTransient(RefreshError):
    """The refresh failed and may succeed later. The stored tokens are kept."""

    #: Seconds until the next try.
    retry_after = 5


class RefreshUnavailable(RefreshError):
    """A refresh is impossible: no refresh token, or the provider was removed or cannot refresh."""
