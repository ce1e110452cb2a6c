"""The whole check of an access token at a resource server, without a web framework.

On the issuer's own site the keys come from the settings, elsewhere from the issuer's metadata. The database is
queried only with ``REVOCATION_CHECK``, which works on the issuer's own site.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import ResourceServerSettings, lazyauth_settings, with_contained
from django_lazyauth.openid.access_token import AccessToken, verify_access_token
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.openid.jose import Reason, TokenRejected
from django_lazyauth.openid.resource_indicators import same_resource

from . import keys
from .local import LocalIssuer, local_issuer
from .principal import Principal


@dataclass(frozen=True, slots=True)
class Verified:
    """A valid token and its user."""

    token: AccessToken
    user: Any


@dataclass(frozen=True, slots=True)
class ResourceServer:
    """Which tokens are accepted: the issuer, the audience, and whether revocation is checked.

    Attributes:
        settings: See :class:`~django_lazyauth.conf.ResourceServerSettings`.
        revocation_check: Ask the database whether the token was revoked. On the issuer's own site only.
    """

    settings: ResourceServerSettings
    revocation_check: bool = False

    @classmethod
    def from_settings(cls) -> ResourceServer:
        """Return the resource server of ``LAZYAUTH``, read on each call.

        Raises:
            ImproperlyConfigured: A setting is refused.
        """
        return cls(lazyauth_settings.resource_server, lazyauth_settings.revocation_check)

    @property
    def local(self) -> LocalIssuer | None:
        """The issuer, if it is this site."""
        return local_issuer(self.settings.issuer)

    @sensitive_variables()
    def verify(self, raw: str, *, request_uri: str = "", proof: Proof | None = None) -> Verified:
        """Check *raw* and return the token and its user (RFC 9068 §4).

        Args:
            raw: The token in compact form.
            request_uri: The requested URL, absolute and without its query. If the site configures no audience, the
                token's audience must contain this URL.
            proof: What came with the token, checked, and not remembered yet. A token that is bound to a key needs the
                proof of that key, and a bearer must come without one (RFC 9449 §7.1, §7.2).

        Raises:
            TokenRejected: The token is not valid here; ``reason`` names the check that failed.
            KeysUnavailable: The issuer's keys are not available now.
            ImproperlyConfigured: The issuer is another site, and no audience is configured.
        """
        local = self.local
        if local is None and self.revocation_check:
            raise ImproperlyConfigured(
                'LAZYAUTH["REVOCATION_CHECK"] asks the database of the issuer, which is not this site.'
            )
        token = self._verify(raw, local, self._accepts(local, request_uri))
        _check_key(token, proof)
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
                "without it a token for any other site would be accepted here."
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
            return _with_hierarchy(verify(unknown_kid=False))
        except TokenRejected as rejected:
            if rejected.reason != Reason.UNKNOWN_KID or local is not None:
                raise
        return _with_hierarchy(verify(unknown_kid=True))


def _check_key(token: AccessToken, proof: Proof | None) -> None:
    """A bound token is worth nothing without its key, and no proof makes a bearer a bound one (I24)."""
    proved = proof.thumbprint if proof is not None else ""
    if (token.is_bound or proved) and token.jkt != (proved or None):
        raise TokenRejected(Reason.BOUND)


def _with_hierarchy(token: AccessToken) -> AccessToken:
    hierarchy = lazyauth_settings.scope_hierarchy
    if not hierarchy:
        return token
    return replace(token, contained_scopes=with_contained(token.scopes, hierarchy) - token.scopes)
