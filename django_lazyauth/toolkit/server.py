"""oauthlib's endpoints, assembled for OAuth 2.1: code, refresh and client credentials; nothing implicit.

A server is made for one request, as its validator is: nothing is shared between threads, and what happens
between validation and tokens (``on_validated``) is the flow's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from oauth2_provider.oauth2_backends import OAuthLibCore
from oauthlib.oauth2.rfc6749.endpoints import (
    AuthorizationEndpoint,
    ResourceEndpoint,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant as PlainCodeGrant
from oauthlib.oauth2.rfc6749.grant_types import ClientCredentialsGrant
from oauthlib.oauth2.rfc6749.tokens import BearerToken
from oauthlib.openid.connect.core.endpoints.userinfo import UserInfoEndpoint
from oauthlib.openid.connect.core.grant_types import AuthorizationCodeGrant as OpenIdCodeGrant
from oauthlib.openid.connect.core.grant_types.dispatchers import (
    AuthorizationCodeGrantDispatcher,
    AuthorizationTokenGrantDispatcher,
)

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.tokens.access import new_access_token

from .refresh_grant import RefreshTokenGrant, Together
from .validator import LazyAuthValidator

#: What oauthlib hands to the flow once a code passed every check, and before any token is made.
OnValidated = Callable[[Any], None]


def new_refresh_token(request: Any, refresh_token: bool = False) -> str:
    """Return 256 random bits."""
    return secrets.token_urlsafe(32)


class LazyAuthServer(
    AuthorizationEndpoint, TokenEndpoint, ResourceEndpoint, RevocationEndpoint, UserInfoEndpoint
):
    def __init__(
        self,
        validator: LazyAuthValidator,
        on_validated: OnValidated | None = None,
        together: Together = nullcontext,
    ) -> None:
        lifetime = int(lazyauth_settings.access_token_lifetime.total_seconds())
        self.bearer = BearerToken(
            validator, partial(new_access_token, validator), lifetime, new_refresh_token
        )
        plain, openid = PlainCodeGrant(validator), OpenIdCodeGrant(validator)
        for grant in (plain, openid):
            grant.custom_validators.post_token.append(validator.check_resource)
            if on_validated is not None:
                grant.custom_validators.post_token.append(on_validated)
        AuthorizationEndpoint.__init__(
            self,
            default_response_type="code",
            response_types={"code": AuthorizationCodeGrantDispatcher(plain, openid)},
            default_token_type=self.bearer,
        )
        TokenEndpoint.__init__(
            self,
            default_grant_type="authorization_code",
            grant_types={
                "authorization_code": AuthorizationTokenGrantDispatcher(validator, plain, openid),
                "refresh_token": RefreshTokenGrant(validator, together),
                "client_credentials": ClientCredentialsGrant(validator),
            },
            default_token_type=self.bearer,
        )
        # No "JWT" token type: with it, oauthlib would take anything that starts with "ey" for an ID token
        # and let it pass as a bearer.
        ResourceEndpoint.__init__(self, default_token="Bearer", token_types={"Bearer": self.bearer})
        RevocationEndpoint.__init__(self, validator)
        UserInfoEndpoint.__init__(self, validator)


#: Grants of the token endpoint, for the metadata: it tells what is on.
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


#: What token, revocation and introspection requests may hold (RFC 6749 §4 to §6, RFC 7009 §2.1, RFC 7636 §4.5,
#: RFC 7662 §2.1, RFC 8707 §2).
PARAMETERS = frozenset(
    {
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "grant_type",
        "redirect_uri",
        "refresh_token",
        "resource",
        "scope",
        "token",
        "token_type_hint",
    }
)

#: oauthlib's name of a header, or DOT's, → Django's.
HEADERS = {
    "Authorization": "HTTP_AUTHORIZATION",
    "HTTP_AUTHORIZATION": "HTTP_AUTHORIZATION",
    "Content-Type": "CONTENT_TYPE",
    "Origin": "HTTP_ORIGIN",
}


class LazyAuthCore(OAuthLibCore):
    """DOT's bridge from Django to oauthlib, for one request."""

    def __init__(self, on_validated: OnValidated | None = None, together: Together = nullcontext) -> None:
        self.validator = LazyAuthValidator()
        super().__init__(LazyAuthServer(self.validator, on_validated, together))

    def extract_body(self, request: HttpRequest) -> list[tuple[str, str]]:
        # Unknown parameters are ignored (RFC 6749 §3.2). oauthlib would make an attribute of its request of each,
        # beside those that it and DOT keep there: "user", "identity", "extra_credentials".
        body: list[tuple[str, str]] = super().extract_body(request)
        return [(name, value) for name, value in body if name in PARAMETERS]

    def extract_headers(self, request: HttpRequest) -> dict[str, str]:
        # What oauthlib and DOT's validator read of a request; DOT copies all of META, and oauthlib twice more.
        return {name: request.META[key] for name, key in HEADERS.items() if key in request.META}

    def _get_escaped_full_path(self, request: HttpRequest) -> str:
        # Rebuilt from what Django parsed: oauthlib raises a bare ValueError on "%zz".
        query = urlencode([(key, value) for key, values in request.GET.lists() for value in values])
        return f"{request.path}?{query}" if query else request.path
