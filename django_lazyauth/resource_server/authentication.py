"""Authenticate API calls by access tokens that are checked here, with the issuer's public keys.

``authentication_classes = [AccessTokenAuthentication]`` works on the issuer's own site, and on a site that has only
this package and the issuer's URL.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from django_lazyauth.conf.issuer import origin as origin_of
from django_lazyauth.errors import InvalidDpopProof, TemporarilyUnavailable, UseDpopNonce
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.retry import is_outage
from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.dpop.check import nonce_headers
from django_lazyauth.openid.jose import TokenRejected

from .challenge import IssuerUnavailable, ProofRefused, audiences_above, challenge, scopes_of
from .described import requires_dpop
from .keys import KeysUnavailable
from .proof import Credentials, credentials_of, read_proof, use_once
from .verifier import ResourceServer

logger = logging.getLogger("django_lazyauth.resource_server")


class AccessTokenAuthentication(BaseAuthentication):
    """``request.user`` and ``request.auth`` (:class:`~django_lazyauth.openid.access_token.AccessToken`).

    A request without a token goes to the next authentication class. A bad token, and a bound one without the proof of
    its key (RFC 9449 §7), gets 401 with a challenge. Without the issuer's keys, the cache or the database the
    answer is 503.

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
        credentials = credentials_of(request._request)
        if credentials is None:
            return None
        server = self.server()
        with refusing_proofs(request, server):
            return self._authenticate(request, credentials, server)

    def _authenticate(
        self, request: Request, credentials: Credentials, server: ResourceServer
    ) -> tuple[Any, AccessToken]:
        proof = None
        if credentials.is_dpop:
            origin = _origin(server, request._request)
            proof = read_proof(request._request, credentials.token, origin=origin)
        elif requires_dpop(request.path):
            raise AuthenticationFailed("Tokens have to be bound to a key here.")
        # Host is used only where the audience depends on the URL. ALLOWED_HOSTS has checked it.
        uri = "" if server.settings.audience else request._request.build_absolute_uri(request._request.path)
        try:
            verified = server.verify(credentials.token, request_uri=uri, proof=proof)
        except TokenRejected as rejected:
            logger.info("an access token was refused (%s)", rejected.reason)
            raise AuthenticationFailed(
                "The access token is unknown, expired, revoked or meant for something else."
            ) from None
        except KeysUnavailable as unavailable:
            logger.warning("no keys to check an access token with (%s)", unavailable.reason)
            raise IssuerUnavailable(unavailable.retry_after) from None
        if proof is not None:
            use_once(proof)
            give_headers(request, nonce_headers(proof))
        return verified.user, verified.token

    def authenticate_header(self, request: Request) -> str:
        return challenge_of(request, self.server())


def challenge_of(request: Request, server: ResourceServer | None = None) -> str:
    """Return the challenge to a request without a token, or with one that is not good."""
    credentials = credentials_of(request._request)
    return challenge(
        request.path,
        server=server,
        error="" if credentials is None else "invalid_token",
        scope=scope_of(request),
        is_dpop=credentials is not None and credentials.is_dpop,
    )


@contextmanager
def refusing_proofs(request: Request, server: ResourceServer | None = None) -> Iterator[None]:
    """Turn what is wrong with a proof into 401 with a challenge, and a cache or database that is down into 503."""
    try:
        yield
    except (InvalidDpopProof, UseDpopNonce) as error:
        give_headers(request, error.headers())
        header = challenge(
            request.path, server=server, error=error.error, scope=scope_of(request), is_dpop=True
        )
        raise ProofRefused(error.error, header) from None
    except TemporarilyUnavailable as error:
        raise IssuerUnavailable(error.retry_after) from None
    except Exception as error:
        # Drivers and caches have no class in common. What is no outage goes on as it was.
        if not is_outage(error):
            raise
        log_failure(logger, "an access token was not checked", error)
        raise IssuerUnavailable(TemporarilyUnavailable.retry_after) from None


def give_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Add *headers* to the answer to *request*, whatever it will be. DRF has no other place for them."""
    view = (request.parser_context or {}).get("view")
    if view is not None and headers:
        view.headers.update(headers)


def _origin(server: ResourceServer, request: HttpRequest) -> str:
    """Return the origin by which clients know this server: of the audience that the path lies below, else the issuer's.

    Where several lie above the path, ``Host`` says which of them is meant. It names no other.
    """
    resources = audiences_above(server, request.path)
    origins = [f"{parts.scheme}://{parts.netloc}" for parts in resources]
    return next((one for one in origins if one.partition("://")[2] == request.get_host()), "") or (
        origins[0] if origins else origin_of(server.settings.issuer)
    )


def scope_of(request: Request) -> str:
    """Return the ``scope`` of a challenge: what a token needs for the view of *request* (RFC 6750 §3)."""
    view = (request.parser_context or {}).get("view")
    return " ".join(scopes_of(view))
