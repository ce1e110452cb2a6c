"""The errors of the protocol as values: one class per RFC error code.

An error carries two texts. ``description`` is for the client and may travel over the wire; ``debug``
is for the operator's log and never leaves the process. Neither ever holds a secret.
"""

from __future__ import annotations

from http import HTTPStatus


class LazyAuthError(Exception):
    """Base of everything this app raises on purpose."""


class OAuthError(LazyAuthError):
    """An error with a code that an RFC registers (RFC 6749 §4.1.2.1, §5.2)."""

    error = "server_error"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, description: str = "", *, debug: str = "") -> None:
        self.description = description
        self.debug = debug
        super().__init__(description or self.error)

    def as_dict(self) -> dict[str, str]:
        """Return the members of the JSON error response (RFC 6749 §5.2)."""
        body = {"error": self.error}
        if self.description:
            body["error_description"] = self.description
        return body


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated, too long or malformed (RFC 6749 §4.1.2.1, §5.2)."""

    error = "invalid_request"


class InvalidGrant(OAuthError):
    """Code, state or refresh token is unknown, spent or expired (RFC 6749 §5.2)."""

    error = "invalid_grant"


class InvalidClient(OAuthError):
    """The client is unknown or failed to authenticate (RFC 6749 §5.2)."""

    error = "invalid_client"
    status = HTTPStatus.UNAUTHORIZED


class AccessDenied(OAuthError):
    """The person, or the server on its own, refused the request (RFC 6749 §4.1.2.1)."""

    error = "access_denied"


class InvalidToken(OAuthError):
    """A token that came along is unknown, expired, spent, or not for this (RFC 6750 §3.1)."""

    error = "invalid_token"
    status = HTTPStatus.UNAUTHORIZED


class InvalidRedirectUri(OAuthError):
    """A redirect URI is of a kind that nobody may register (RFC 7591 §3.2.2)."""

    error = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """What the client says about itself cannot be registered (RFC 7591 §3.2.2)."""

    error = "invalid_client_metadata"


class RegistrationClosed(OAuthError):
    """Clients do not register themselves here (RFC 7591 §3.2.2 leaves the code open)."""

    error = "access_denied"
    status = HTTPStatus.FORBIDDEN


class TooManyRequests(OAuthError):
    """This network asked too often; it may try again later (RFC 6585 §4)."""

    error = "temporarily_unavailable"
    status = HTTPStatus.TOO_MANY_REQUESTS


class ServerError(OAuthError):
    """Something here failed; the client may try again (RFC 6749 §4.1.2.1)."""

    error = "server_error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR


class TemporarilyUnavailable(OAuthError):
    """Overloaded or under maintenance; the client may try again later (RFC 6749 §4.1.2.1)."""

    error = "temporarily_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class LoginRequired(OAuthError):
    """``prompt=none``, and nobody is signed in (OpenID Connect Core §3.1.2.6)."""

    error = "login_required"


class ConsentRequired(OAuthError):
    """``prompt=none``, and the person has not allowed this yet (OpenID Connect Core §3.1.2.6)."""

    error = "consent_required"


class InteractionRequired(OAuthError):
    """``prompt=none``, and a page would have to be shown (OpenID Connect Core §3.1.2.6)."""

    error = "interaction_required"


class ProviderError(LazyAuthError):
    """A provider could not sign the person in. The person may try again, or another way.

    ``reason`` is a short machine-readable word for logs and pages; it never holds what the upstream said.
    """

    def __init__(self, reason: str, *, debug: str = "") -> None:
        self.reason = reason
        self.debug = debug
        super().__init__(reason)


class ProviderUnavailable(ProviderError):
    """The upstream did not answer, answered nonsense, or is not configured any more."""


class ProviderDenied(ProviderError):
    """The upstream, or the person there, said no."""


class IdentityRejected(ProviderError):
    """The upstream answered, and what it said about the person failed a check."""


class RegistrationRefused(LazyAuthError):
    """A new user cannot be written, for a reason that the client may show to the person.

    Raise it in a user resolver, in ``finalize`` or in a ``user_registered`` receiver: everything is rolled
    back, the client gets ``invalid_grant`` with ``description``, and the deferred registration is discarded.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        super().__init__(description)


class RegistrationRejected(LazyAuthError):
    """A registration store does not want this client, for a reason that the client may read.

    Raise it in ``register_client`` or ``update_client``: nothing is stored, the client gets
    ``invalid_client_metadata`` with ``description``.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        super().__init__(description)


class RegistrationConflict(LazyAuthError):
    """Somebody changed the registration since it was read; of two writers one wins."""


class SealBroken(LazyAuthError):
    """A sealed value cannot be opened here: wrong place, wrong key, or tampered with (I12)."""


class BundleNotFound(LazyAuthError):
    """No upstream tokens of this session, provider, user and client; which of them is wrong is not said."""


class RefreshError(LazyAuthError):
    """There is no fresh upstream token to be had.

    Attributes:
        provider: Logical name.
        code: One short word: the upstream's own error code where it gave one, else ours. Never what it said.
    """

    def __init__(self, provider: str, code: str) -> None:
        self.provider = provider
        self.code = code
        super().__init__(provider, code)

    def __str__(self) -> str:
        return f"{self.provider}: {self.code}"


class RefreshExpired(RefreshError):
    """The upstream does not accept our tokens any more: only a new sign-in there helps."""


class RefreshTransient(RefreshError):
    """It did not work now, and may work later; the tokens that we have are kept."""

    #: Seconds after which another try makes sense.
    retry_after = 5


class RefreshUnavailable(RefreshError):
    """It can never work: no refresh token, or a provider that is gone or cannot refresh."""
