"""Tokens that are checked: ours and the stock toolkit's, of one user, by a DRF view and by introspection."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from oauth2_provider.models import get_access_token_model, get_application_model
from rest_framework.request import Request

from django_lazyauth.kit.secret_digest import digest_secret
from django_lazyauth.models.fields import uuid7
from django_lazyauth.resource_server.authentication import AccessTokenAuthentication
from django_lazyauth.tokens import keys

from .harness import Side

TOKENS = 500
API = "https://api.example"


@dataclass
class Tokens:
    """Rows of one user and client, and what a client would present for each."""

    is_jwt: bool
    client: Any = None
    presented: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        name = "ours" if self.is_jwt else "stock"
        user = get_user_model().objects.create_user(name)
        self.client = get_application_model().objects.create(
            client_id=name,
            client_type="public",
            authorization_grant_type="authorization-code",
        )
        self.presented = [self._issue(user) for _ in range(TOKENS)]

    def _issue(self, user: Any) -> str:
        expires = timezone.now() + timedelta(hours=1)
        token = self._jwt(user, expires) if self.is_jwt else secrets.token_urlsafe(22)
        row = get_access_token_model()(
            user=user, application=self.client, scope="openid", expires=expires, resource=[API]
        )
        if self.is_jwt:
            row._raw_token = token
        else:
            row.token = token
        row.save()
        assert row.token_checksum == hashlib.sha256(token.encode()).hexdigest()
        return token

    def _jwt(self, user: Any, expires: Any) -> str:
        claims = {
            "iss": settings.LAZYAUTH["ISSUER"],
            "sub": str(user.pk),
            "aud": API,
            "client_id": self.client.client_id,
            "iat": int(timezone.now().timestamp()),
            "exp": int(expires.timestamp()),
            "jti": secrets.token_urlsafe(16),
            "scope": "openid",
            "tsid": str(uuid7()),
        }
        return keys.sign(claims, key=keys.key_for(), typ="at+jwt")

    def some(self, count: int) -> list[str]:
        return random.choices(self.presented, k=count)


# -- the bearer of a DRF view ------------------------------------------------------------------------------


def bearer_sides() -> tuple[Side, Side]:
    """Ours: everything that a DRF view does before its code to learn who calls; the peer: the same of DOT."""

    def side(held: Tokens, authentication: Any) -> Side:
        def prepare(count: int) -> list[Request]:
            return [
                Request(
                    RequestFactory().get(
                        "/v1/things",
                        secure=True,
                        headers={"authorization": f"Bearer {token}"},
                        SERVER_NAME="api.example",
                    ),
                    authenticators=[authentication()],
                )
                for token in held.some(count)
            ]

        def run(request: Request) -> None:
            if not request.user.is_authenticated or not request.auth.allow_scopes(["openid"]):
                raise AssertionError("refused")

        return Side(prepare, run)

    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "api.example"]
    return side(Tokens(is_jwt=True), AccessTokenAuthentication), side(
        Tokens(is_jwt=False), OAuth2Authentication
    )


# -- introspection -----------------------------------------------------------------------------------------


@cache
def _handler() -> BaseHandler:
    handler = BaseHandler()
    handler.load_middleware()
    return handler


def introspection_sides() -> tuple[Side, Side]:
    """A resource server asks about a token that a client of somebody else presented to it.

    Its secret costs the peer as little as ours costs us: the peer's default would stretch it at each request.
    """
    settings.LAZYAUTH = {**settings.LAZYAUTH, "INTROSPECTION_CLIENTS": {"asks-ours": [API]}}

    def side(path: str, held: Tokens, name: str, keep: Callable[[str], str]) -> Side:
        secret = secrets.token_urlsafe(64)
        get_application_model().objects.create(
            client_id=name,
            client_type="confidential",
            authorization_grant_type="client-credentials",
            client_secret=keep(secret),
            hash_client_secret=False,
        )
        credentials = base64.b64encode(f"{name}:{secret}".encode()).decode()

        def prepare(count: int) -> list[HttpRequest]:
            return [
                RequestFactory().post(
                    path,
                    urlencode({"token": token}),
                    content_type="application/x-www-form-urlencoded",
                    secure=True,
                    headers={"authorization": f"Basic {credentials}"},
                    SERVER_NAME="auth.example",
                )
                for token in held.some(count)
            ]

        def run(request: HttpRequest) -> None:
            answer = json.loads(_handler().get_response(request).content)
            if answer.get("active") is not True or answer["aud"] not in (API, [API]):
                raise AssertionError(answer)

        return Side(prepare, run)

    return (
        side("/introspect", Tokens(is_jwt=True), "asks-ours", digest_secret),
        side("/o/introspect/", Tokens(is_jwt=False), "asks-stock", str),
    )
