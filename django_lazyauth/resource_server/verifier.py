"""Is this bearer good here? The whole check of a resource server, without a web framework around it.

On the issuer's own site the keys come from the settings, elsewhere from its metadata. Nothing is asked of a
database, unless the site says that revocation has to count at once and is the issuer's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from django_lazyauth.conf import ResourceServerSettings, lazyauth_settings
from django_lazyauth.openid.access_token import AccessToken, verify_access_token
from django_lazyauth.openid.jose import Reason, TokenRejected
from django_lazyauth.openid.resource_indicators import same_resource

from . import keys
from .local import LocalIssuer, local_issuer
from .principal import Principal


@dataclass(frozen=True, slots=True)
class Verified:
    """A good token and whom it stands for."""

    token: AccessToken
    user: Any


@dataclass(frozen=True, slots=True)
class ResourceServer:
    """Whose tokens are taken, what for, and how hard they are looked at.

    Attributes:
        settings: See :class:`~django_lazyauth.conf.ResourceServerSettings`.
        revocation_check: Ask the database whether the token still stands. On the issuer's own site only.
    """

    settings: ResourceServerSettings
    revocation_check: bool = False

    @classmethod
    def from_settings(cls) -> ResourceServer:
        """Return what ``LAZYAUTH`` says, read anew.

        Raises:
            ImproperlyConfigured: It says nothing that makes sense.
        """
        return cls(lazyauth_settings.resource_server, lazyauth_settings.revocation_check)

    @property
    def local(self) -> LocalIssuer | None:
        """The issuer, if it is this very site."""
        return local_issuer(self.settings.issuer)

    def verify(self, raw: str, *, request_uri: str = "") -> Verified:
        """Return what *raw* stands for (RFC 9068 §4).

        Args:
            raw: The token as it came.
            request_uri: What was requested, absolute and without its query: where the site names no audience, the
                token has to be for something that this lies below.

        Raises:
            TokenRejected: It is not good here; ``reason`` says why.
            KeysUnavailable: The issuer's keys cannot be had at the moment.
            ImproperlyConfigured: The site does not say what it is.
        """
        local = self.local
        if local is None and self.revocation_check:
            raise ImproperlyConfigured(
                'LAZYAUTH["REVOCATION_CHECK"] asks the database of the issuer, which is not this site.'
            )
        token = self._verify(raw, local, self._accepts(local, request_uri))
        return Verified(token, self._user(raw, token, local))

    def _user(self, raw: str, token: AccessToken, local: LocalIssuer | None) -> Any:
        standing = None
        if local is not None and self.revocation_check:
            standing = local.standing_user_of(raw, token)
            if standing is None:
                raise TokenRejected(Reason.REVOKED)
        if self.settings.user is not None:
            user = self.settings.user(token)
            if user is None:
                raise TokenRejected(Reason.SUBJECT)
            return user
        if local is None:
            return Principal(token)
        return local.user_of(token) if standing is None else standing

    def _accepts(self, local: LocalIssuer | None, request_uri: str) -> Callable[[str], bool]:
        if self.settings.audience:
            return self._names_us
        if local is None:
            raise ImproperlyConfigured(
                'Set LAZYAUTH["RESOURCE_SERVER"]["audience"] to the URL that clients ask tokens for (RFC 8707): '
                "without it a token for any other site would do here."
            )
        return lambda audience: local.covers(audience, request_uri)

    def _names_us(self, audience: str) -> bool:
        return any(same_resource(audience, ours) for ours in self.settings.audience)

    def _verify(self, raw: str, local: LocalIssuer | None, accepts: Callable[[str], bool]) -> AccessToken:
        def verify(*, unknown_kid: bool) -> AccessToken:
            if local is not None:
                key_set = local.keys()
            else:
                key_set = keys.load(
                    self.settings.issuer, jwks_uri=self.settings.jwks_uri, unknown_kid=unknown_kid
                )
            return verify_access_token(
                raw,
                issuer=self.settings.issuer,
                accepts_audience=accepts,
                keys=key_set,
                algorithms=self.settings.algorithms,
                now=timezone.now(),
            )

        try:
            return verify(unknown_kid=False)
        except TokenRejected as rejected:
            if rejected.reason != Reason.UNKNOWN_KID or local is not None:
                raise
        return verify(unknown_kid=True)
