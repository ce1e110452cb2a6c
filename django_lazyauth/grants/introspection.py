"""What a token is worth, told to whoever has a right to know it (RFC 7662): its own client, and its resource.

Everybody else, and everybody about any other token, gets ``{"active": false}``. Who asks for it gets the answer signed
(RFC 9701), so that it can be kept as proof.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.clients.authenticate import authenticate_by_key, authenticate_confidential
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClient, OAuthError
from django_lazyauth.openid.resource_indicators import audience_of
from django_lazyauth.tokens import keys, refresh
from django_lazyauth.tokens.bearer import Bearer, find_bearer_beside_client
from django_lazyauth.tokens.binding import confirmation, token_type
from django_lazyauth.tokens.host.claims import IssuedFor, added_claims
from django_lazyauth.toolkit.client_policies import introspection_algorithm
from django_lazyauth.toolkit.clients import Client
from django_lazyauth.users.subjects import NoSuchUser, subject_in, subject_of

from .checks import is_meant_for
from .contract import TokenAnswer, read_form

#: ``typ`` of the signed answer, and its media type.
SIGNED_TYPE: Final = "token-introspection+jwt"
INACTIVE: Final[dict[str, Any]] = {"active": False}


def answer_introspection_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer of the introspection endpoint (RFC 7662 §2)."""
    try:
        form = read_form(http_request)
        token = form.require("token")
        client = authenticate_by_key(form.credentials)
        bearer, authentication, named = find_bearer_beside_client(token, form.credentials.named)
        client = client or authenticate_confidential(form.credentials, named)
        if client is None:
            raise InvalidClient
    except OAuthError as error:
        return TokenAnswer.of_error(error)
    try:
        if bearer is not None:
            may_know = is_meant_for(client, bearer)
            described = {**_access_token(bearer), **authentication.claims()} if may_know else INACTIVE
        else:
            described = _refresh_token(token, client)
    except NoSuchUser:
        described = INACTIVE
    return (
        _signed(described, client) if _wants_signature(http_request) else TokenAnswer(json.dumps(described))
    )


def _wants_signature(http_request: HttpRequest) -> bool:
    """Say whether the request names the signed form (RFC 9701 §4). ``*/*`` does not: every client can read JSON."""
    for one in http_request.headers.get("Accept", "").lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        if kind == f"application/{SIGNED_TYPE}":
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return False


def _signed(described: dict[str, Any], client: Client) -> TokenAnswer:
    """Return the answer as a JWT for *client* alone. Without ``sub`` and ``exp`` it is no token (RFC 9701 §5, §8.1)."""
    claims = {
        "iss": lazyauth_settings.issuer,
        "aud": client.client_id,
        "iat": int(timezone.now().timestamp()),
        "token_introspection": described,
    }
    body = keys.sign(claims, key=keys.key_for(introspection_algorithm(client)), typ=SIGNED_TYPE)
    return TokenAnswer(body, content_type=f"application/{SIGNED_TYPE}", headers={"Vary": "Accept"})


def _access_token(bearer: Bearer) -> dict[str, Any]:
    row, user = bearer.access_token, bearer.user
    client_id = bearer.client.client_id if bearer.client is not None else ""
    audience = audience_of(row.resource)
    described = {
        "active": True,
        "scope": row.scope,
        "client_id": client_id,
        "token_type": token_type(bearer.jkt),
        "exp": int(row.expires.timestamp()),
        "iat": int(row.created.timestamp()),
        "iss": lazyauth_settings.issuer,
        "aud": audience[0] if len(audience) == 1 else audience,
        **confirmation(bearer.jkt),
    }
    if bearer.act is not None:
        described["act"] = bearer.act
    described |= _claims_of_the_host(bearer)
    if user is None:
        return described | {"sub": client_id}
    return described | {"sub": subject_of(bearer), "username": user.get_username()}


def _claims_of_the_host(bearer: Bearer) -> dict[str, Any]:
    """Return what ``TOKEN_CLAIMS`` adds to an opaque token. A JWT says it itself, as it was when it was issued."""
    function = lazyauth_settings.token_claims
    if function is None or bearer.noted_subject:
        return {}
    row = bearer.access_token
    client_id = bearer.client.client_id if bearer.client is not None else ""
    issued_for = IssuedFor(
        bearer.user, client_id, bearer.scopes, tuple(row.resource or ()), bearer.session_id
    )
    return added_claims("TOKEN_CLAIMS", function, issued_for)


def _refresh_token(token: str, client: Client) -> dict[str, Any]:
    """Describe a refresh token of *client* that would work now. One that was used ends no session here."""
    row = refresh.find(token)
    if row is None or row.application_id != client.pk or not refresh.is_good(row, timezone.now()):
        return INACTIVE
    return {
        "active": True,
        "client_id": client.client_id,
        "iss": lazyauth_settings.issuer,
        "sub": subject_in(row.token_family, row.user, client),
    }
