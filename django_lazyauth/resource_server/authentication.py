"""Authenticate API calls by access tokens that are checked here, with the issuer's public keys.

``authentication_classes = [AccessTokenAuthentication]`` works on the issuer's own site, and on a site that has only
this package and the issuer's URL.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from django_lazyauth.kit.http import parse_bearer
from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.jose import TokenRejected

from .challenge import IssuerUnavailable, challenge, scopes_of
from .keys import KeysUnavailable
from .verifier import ResourceServer

logger = logging.getLogger("django_lazyauth.resource_server")


class AccessTokenAuthentication(BaseAuthentication):
    """``request.user`` and ``request.auth`` (:class:`~django_lazyauth.openid.access_token.AccessToken`).

    A request without a bearer goes to the next authentication class. A bad bearer gets 401 with a challenge. If the
    issuer's keys are not available, the answer is 503.

    A subclass may set these attributes for its views. They replace the settings.
    """

    issuer: ClassVar[str] = ""
    audience: ClassVar[str | tuple[str, ...]] = ()
    revocation_check: ClassVar[bool | None] = None

    def server(self) -> ResourceServer:
        """Return the resource server that the settings and this class describe."""
        server = ResourceServer.from_settings()
        if not self.issuer and not self.audience and self.revocation_check is None:
            return server
        audience = (self.audience,) if isinstance(self.audience, str) else self.audience
        settings = replace(
            server.settings,
            issuer=self.issuer or server.settings.issuer,
            # The settings name the keys of their own issuer only.
            jwks_uri=server.settings.jwks_uri if self.issuer in ("", server.settings.issuer) else "",
            audience=audience or server.settings.audience,
        )
        check = server.revocation_check if self.revocation_check is None else self.revocation_check
        return ResourceServer(settings, check)

    def authenticate(self, request: Request) -> tuple[Any, AccessToken] | None:
        raw = bearer_of(request)
        if raw is None:
            return None
        server = self.server()
        # Host is used only where the audience depends on the URL. ALLOWED_HOSTS has checked it.
        uri = "" if server.settings.audience else request._request.build_absolute_uri(request._request.path)
        try:
            verified = server.verify(raw, request_uri=uri)
        except TokenRejected as rejected:
            logger.info("an access token was refused (%s)", rejected.reason)
            raise AuthenticationFailed(
                "The access token is unknown, expired, revoked or meant for something else."
            ) from None
        except KeysUnavailable as unavailable:
            logger.warning("no keys to check an access token with (%s)", unavailable.reason)
            raise IssuerUnavailable(unavailable.retry_after) from None
        return verified.user, verified.token

    def authenticate_header(self, request: Request) -> str:
        error = "" if bearer_of(request) is None else "invalid_token"
        return challenge(request.path, server=self.server(), error=error, scope=scope_of(request))


def scope_of(request: Request) -> str:
    """Return the ``scope`` of a challenge: what a token needs for the view of *request* (RFC 6750 §3)."""
    view = (request.parser_context or {}).get("view")
    return " ".join(scopes_of(view))


def bearer_of(request: Request) -> str | None:
    """Return the bearer token of the header (RFC 6750 §2.1), ``None`` if there is none; nowhere else is looked."""
    return parse_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
