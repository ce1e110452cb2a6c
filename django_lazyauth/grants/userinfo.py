"""Revocation and userinfo: DOT's and oauthlib's, asked the way our views need it."""

from __future__ import annotations

import json
from http import HTTPStatus
from types import SimpleNamespace
from uuid import UUID

from django.http import HttpRequest

from django_lazyauth.tokens.bearer import has_bearer, load_bearer
from django_lazyauth.toolkit.server import LazyAuthCore
from django_lazyauth.toolkit.token_endpoint import REALM, TokenAnswer
from django_lazyauth.toolkit.validator import LazyAuthValidator


def revoke(http_request: HttpRequest) -> tuple[TokenAnswer, set[UUID]]:
    """Answer a revocation request (RFC 7009 §2), and name the sessions that the flow must end."""
    core = LazyAuthCore()
    _, headers, body, status = core.create_revocation_response(http_request)
    headers = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = REALM
    return TokenAnswer(body or "{}", status, headers), core.validator.ended_sessions


def userinfo(http_request: HttpRequest) -> TokenAnswer:
    """Answer a userinfo request (OpenID Connect Core §5.3)."""
    if not has_bearer(http_request):
        # RFC 6750 §3.1: no token, no error code.
        return TokenAnswer("{}", int(HTTPStatus.UNAUTHORIZED), {"WWW-Authenticate": "Bearer"})
    bearer = load_bearer(http_request)
    if bearer is None or bearer.user is None:
        return _refused(HTTPStatus.UNAUTHORIZED, "invalid_token")
    if not bearer.allow_scopes(["openid"]):
        # A good token without openid is not invalid, or clients throw it away (RFC 6750 §3.1).
        return _refused(HTTPStatus.FORBIDDEN, "insufficient_scope", scope="openid")
    about = SimpleNamespace(
        user=bearer.user, client=bearer.client, scopes=bearer.scopes, access_token=bearer.access_token
    )
    return TokenAnswer(json.dumps(LazyAuthValidator().get_userinfo_claims(about)), int(HTTPStatus.OK))


def _refused(status: HTTPStatus, error: str, *, scope: str = "") -> TokenAnswer:
    challenge = f'Bearer error="{error}"' + (f', scope="{scope}"' if scope else "")
    return TokenAnswer(json.dumps({"error": error}), int(status), {"WWW-Authenticate": challenge})
