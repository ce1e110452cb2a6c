"""The claims about the person behind an access token (OpenID Connect Core §5.3)."""

from __future__ import annotations

import json
from http import HTTPStatus

from django.http import HttpRequest

from django_lazyauth.tokens.bearer import has_bearer, load_bearer
from django_lazyauth.tokens.id import has_verified_email, user_claims

from .contract import TokenAnswer


def answer_userinfo_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the userinfo endpoint."""
    if not has_bearer(http_request):
        # No token, no error code (RFC 6750 §3.1).
        return TokenAnswer("{}", int(HTTPStatus.UNAUTHORIZED), {"WWW-Authenticate": "Bearer"})
    bearer = load_bearer(http_request)
    if bearer is None or bearer.user is None:
        return _refused(HTTPStatus.UNAUTHORIZED, "invalid_token")
    if "openid" not in bearer.scopes:
        # The token is valid. If it were called invalid, clients would throw it away (RFC 6750 §3.1).
        return _refused(HTTPStatus.FORBIDDEN, "insufficient_scope", scope="openid")
    is_verified = "email" in bearer.scopes and has_verified_email(bearer.user)
    return TokenAnswer(json.dumps(user_claims(bearer.user, bearer.scopes, email_verified=is_verified)))


def _refused(status: HTTPStatus, error: str, *, scope: str = "") -> TokenAnswer:
    challenge = f'Bearer error="{error}"' + (f', scope="{scope}"' if scope else "")
    return TokenAnswer(json.dumps({"error": error}), int(status), {"WWW-Authenticate": challenge})
