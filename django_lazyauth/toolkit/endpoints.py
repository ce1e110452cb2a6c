"""Revocation, introspection and userinfo: DOT's and oauthlib's, asked the way our views need it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from oauth2_provider.models import AbstractApplication, get_access_token_model
from oauthlib.common import Request

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClient, InvalidRequest
from django_lazyauth.models.fields import digest

from .bearer import load_bearer
from .server import LazyAuthCore
from .token_endpoint import REALM, TokenAnswer
from .validator import LazyAuthValidator


def revoke(http_request: HttpRequest) -> tuple[TokenAnswer, set[UUID]]:
    """Answer a revocation request (RFC 7009 §2), and name the sessions that the flow must end."""
    core = LazyAuthCore()
    _, headers, body, status = core.create_revocation_response(http_request)
    headers = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = REALM
    return TokenAnswer(body or "{}", status, headers), core.validator.ended_sessions


def introspect(http_request: HttpRequest) -> TokenAnswer:
    """Answer an introspection request (RFC 7662 §2). A client sees its own tokens and nobody else's.

    A public client has nothing to authenticate with: DOT would let it pass with its empty secret.
    """
    core = LazyAuthCore()
    token = http_request.POST.get("token", "")
    if not token:
        return TokenAnswer.of_error(InvalidRequest("Missing token parameter."))
    uri, method, body, headers = core._extract_params(http_request)
    request = Request(uri, method, body, headers)
    authenticated = core.validator.authenticate_client(request)
    if not authenticated or request.client.client_type != AbstractApplication.CLIENT_CONFIDENTIAL:
        return TokenAnswer.of_error(InvalidClient())
    return TokenAnswer(json.dumps(_describe(token, request, core.validator)), int(HTTPStatus.OK))


def _describe(token: str, request: Request, validator: LazyAuthValidator) -> dict[str, Any]:
    client = request.client
    access = (
        get_access_token_model()
        .objects.select_related("user")
        .filter(token_checksum=digest(token), application=client)
        .first()
    )
    if access is not None and access.is_valid() and (access.user is None or access.user.is_active):
        described = {
            "active": True,
            "scope": access.scope,
            "client_id": client.client_id,
            "token_type": "Bearer",
            "exp": int(access.expires.timestamp()),
            "iat": int(access.created.timestamp()),
            "iss": lazyauth_settings.issuer,
        }
        if access.user is not None:
            described |= {"sub": str(access.user.pk), "username": access.user.get_username()}
        if access.resource:
            described["aud"] = access.resource
        return described
    # Active means that it would work. A spent one ends no session here: nobody tried to use it.
    if validator.validate_refresh_token(token, client, request):
        return {
            "active": True,
            "client_id": client.client_id,
            "iss": lazyauth_settings.issuer,
            "sub": str(request.user.pk),
        }
    return {"active": False}


def userinfo(http_request: HttpRequest) -> TokenAnswer:
    """Answer a userinfo request (OpenID Connect Core §5.3)."""
    core = LazyAuthCore()
    if http_request.headers.get("Authorization", "").split(" ")[0].lower() != "bearer":
        # RFC 6750 §3.1: no token, no error code.
        return TokenAnswer("{}", int(HTTPStatus.UNAUTHORIZED), {"WWW-Authenticate": "Bearer"})
    _, headers, body, status = core.create_userinfo_response(http_request)
    bearer = load_bearer(http_request) if status == HTTPStatus.UNAUTHORIZED else None
    if bearer is not None and not bearer.allow_scopes(["openid"]):
        # oauthlib calls a good token without openid invalid, and clients throw it away (RFC 6750 §3.1).
        challenge = 'Bearer error="insufficient_scope", scope="openid"'
        refused = json.dumps({"error": "insufficient_scope"})
        return TokenAnswer(refused, int(HTTPStatus.FORBIDDEN), {"WWW-Authenticate": challenge})
    return TokenAnswer(body or "{}", status, dict(headers or {}))
