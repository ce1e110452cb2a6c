"""What a token is worth, told to who has a right to know (RFC 7662): its own client, and the resource it is for.

Everybody else, and everybody about anything else, hears ``{"active": false}``.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final

from django.http import HttpRequest

from django_lazyauth.clients.authenticate import authenticate_confidential, credentials_of
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClient, InvalidRequest
from django_lazyauth.openid.resource_indicators import same_resource
from django_lazyauth.tokens.access_row import find_row_beside_client
from django_lazyauth.tokens.bearer import Bearer, bearer_of
from django_lazyauth.tokens.resources import audience_of
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.token_endpoint import TokenAnswer
from django_lazyauth.toolkit.validator import LazyAuthValidator

INACTIVE: Final[dict[str, Any]] = {"active": False}


def introspect(http_request: HttpRequest) -> TokenAnswer:
    """Answer an introspection request (RFC 7662 §2)."""
    token = http_request.POST.get("token", "")
    if not token:
        return TokenAnswer.of_error(InvalidRequest("Missing token parameter."))
    credentials = credentials_of(http_request)
    # One query for both: what the token is worth is told to nobody who fails to authenticate.
    row, known = find_row_beside_client(token, credentials.named)
    client = authenticate_confidential(credentials, known)
    if client is None:
        return TokenAnswer.of_error(InvalidClient())
    return TokenAnswer(json.dumps(_describe(token, row, client)), int(HTTPStatus.OK))


def _describe(token: str, row: Any | None, client: clients.Client) -> dict[str, Any]:
    bearer = bearer_of(row)
    if bearer is not None:
        return _of_access_token(bearer) if _may_know(client, bearer) else INACTIVE
    # Active means that it would work. A spent one ends no session here: nobody tried to use it.
    request = SimpleNamespace()
    if LazyAuthValidator().validate_refresh_token(token, client, request):
        return {
            "active": True,
            "client_id": client.client_id,
            "iss": lazyauth_settings.issuer,
            "sub": str(request.user.pk),
        }
    return INACTIVE


def _may_know(client: Any, bearer: Bearer) -> bool:
    """Say whether the token is the client's own, or for a resource that the operator says the client is."""
    if bearer.access_token.application_id == client.pk:
        return True
    resources = lazyauth_settings.introspection_clients.get(client.client_id, ())
    audience = audience_of(bearer.access_token.resource)
    return any(same_resource(one, resource) for one in audience for resource in resources)


def _of_access_token(bearer: Bearer) -> dict[str, Any]:
    row = bearer.access_token
    audience = audience_of(row.resource)
    described = {
        "active": True,
        "scope": row.scope,
        "client_id": bearer.client.client_id if bearer.client is not None else "",
        "token_type": "Bearer",
        "exp": int(row.expires.timestamp()),
        "iat": int(row.created.timestamp()),
        "iss": lazyauth_settings.issuer,
        "aud": audience[0] if len(audience) == 1 else audience,
        "sub": bearer.client.client_id if bearer.user is None and bearer.client is not None else "",
    }
    if bearer.user is not None:
        described |= {"sub": str(bearer.user.pk), "username": bearer.user.get_username()}
    return described
