"""Exchanges of a code, ours and the stock toolkit's, as the HTTP requests of one and the same client.

Ours write everything that a first sign-in writes: user, identity, consent, the sealed upstream tokens. The
stock toolkit, which has no such step, redeems a code of a user who exists already.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.cache import SessionStore
from django.core.handlers.base import BaseHandler
from django.db import transaction
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone
from oauth2_provider.generators import generate_client_secret
from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_grant_model,
    get_refresh_token_model,
)

from django_lazyauth.authorize.code import allow
from django_lazyauth.authorize.pending import Browser, find_pending, keep_request
from django_lazyauth.authorize.request import AuthorizationRequest
from django_lazyauth.kit.secret_digest import is_digest
from django_lazyauth.models import ProviderIdentity, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.providers.base import Identity, Success
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sign_in import complete
from django_lazyauth.sign_in.leg import send_to_provider

from .harness import Side

REDIRECT_URI = "https://client.example/cb"
NONCE = "a-nonce-of-the-client"
SCOPE = "openid"


@dataclass(frozen=True)
class Client:
    """An operator's client; its secret is what the stock toolkit would generate, and is empty for a public one."""

    row: Any
    secret: str = field(default="", repr=False)

    @classmethod
    def register(cls, name: str, *, confidential: bool) -> Client:
        secret = generate_client_secret() if confidential else ""
        row = get_application_model().objects.create(
            name=name,
            client_type="confidential" if confidential else "public",
            authorization_grant_type="authorization-code",
            redirect_uris=REDIRECT_URI,
            client_secret=secret,
            hash_client_secret=confidential,
            algorithm="RS256",
        )
        return cls(row, secret)

    def token_request(self, path: str, code: str, verifier: str) -> HttpRequest:
        """Return the request that redeems *code* (RFC 6749 §4.1.3); a secret goes into a Basic header."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": verifier,
        }
        headers = {"accept": "application/json"}
        if self.secret:
            credentials = f"{self.row.client_id}:{self.secret}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
        else:
            form["client_id"] = self.row.client_id
        return RequestFactory().post(
            path,
            urlencode(form),
            content_type="application/x-www-form-urlencoded",
            secure=True,
            headers=headers,
            SERVER_NAME="auth.example",
        )


@cache
def handler() -> BaseHandler:
    handler = BaseHandler()
    handler.load_middleware()
    return handler


def redeem(request: HttpRequest) -> None:
    """Send the request through all of Django: middleware, URLs, view."""
    response = handler().get_response(request)
    if response.status_code != 200 or b'"id_token"' not in response.content:
        raise AssertionError(f"{request.path} answered {response.status_code}: {response.content[:200]!r}")


def _new_browser() -> HttpRequest:
    """Return a request of a browser that nobody is signed in with."""
    request = HttpRequest()
    request.session = SessionStore()
    return request


def _verifier_and_challenge() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return verifier, challenge


# -- ours -----------------------------------------------------------------------------------------------


@dataclass
class LazyExchanges:
    """Codes whose person is new to the site; every one writes a user."""

    client: Client
    prepared: int = 0
    scope: str = SCOPE

    def prepare(self, count: int) -> list[HttpRequest]:
        with transaction.atomic():
            return [self._prepare_one() for _ in range(count)]

    def _prepare_one(self) -> HttpRequest:
        """Walk the flow up to its code, as the pages do."""
        self.prepared += 1
        verifier, challenge = _verifier_and_challenge()
        request = AuthorizationRequest(
            client=self.client.row,
            redirect_uri=REDIRECT_URI,
            scopes=(self.scope,),
            state="",
            nonce=NONCE,
            code_challenge=challenge,
        )
        browser, provider = Browser(binding_digest=secrets.token_hex(32)), get_provider("demo")
        pending = keep_request(request, session_id=uuid7(), browser=browser)
        send_to_provider(pending, provider)
        pending = find_pending(pending.pk, browser=browser)
        pending = complete.complete(_new_browser(), pending, provider, self._new_person())
        code = allow(pending).parameters["code"]
        return self.client.token_request("/token", code, verifier)

    def _new_person(self) -> Success:
        subject = f"{secrets.token_hex(8)}-{self.prepared}"
        return Success(
            Identity(
                provider="demo",
                subject=subject,
                email=f"{subject}@people.example",
                email_verified=True,
                name="Ada Lovelace",
                claims={"given_name": "Ada", "family_name": "Lovelace"},
            ),
            commit={
                "access_token": secrets.token_urlsafe(600),
                "refresh_token": secrets.token_urlsafe(48),
                "client_id": self.client.row.pk,
                "subject": subject,
            },
            amr=("pwd",),
        )

    def check(self) -> None:
        """Every exchange wrote a person, the identity, the vault row and a pair of tokens."""
        sessions = UpstreamToken.objects.filter(client=self.client.row).values("session_id")
        written = {
            "vault rows": len(sessions),
            "users": get_user_model().objects.filter(provider_identities__isnull=False).count(),
            "identities": ProviderIdentity.objects.count(),
            "access tokens": get_access_token_model().objects.filter(application=self.client.row).count(),
            "sessions": get_refresh_token_model().objects.filter(token_family__in=sessions).count(),
        }
        if set(written.values()) != {self.prepared}:
            raise AssertionError(f"{self.prepared} codes were redeemed, but there are {written}")
        self.client.row.refresh_from_db()
        if self.client.secret and not is_digest(self.client.row.client_secret):
            raise AssertionError("the secret was not upgraded at its first use")


# -- the stock toolkit ------------------------------------------------------------------------------------


@dataclass
class StockExchanges:
    """Codes of a user who exists, as the toolkit's own authorization view writes them."""

    client: Client
    user: Any
    scope: str = SCOPE

    def prepare(self, count: int) -> list[HttpRequest]:
        rows, requests = [], []
        for _ in range(count):
            code = secrets.token_urlsafe(32)
            verifier, challenge = _verifier_and_challenge()
            rows.append(
                get_grant_model()(
                    application=self.client.row,
                    user=self.user,
                    code=code,
                    expires=timezone.now() + timedelta(minutes=10),
                    redirect_uri=REDIRECT_URI,
                    scope=self.scope,
                    code_challenge=challenge,
                    code_challenge_method="S256",
                    nonce=NONCE,
                    claims="{}",
                )
            )
            requests.append(self.client.token_request("/o/token/", code, verifier))
        get_grant_model().objects.bulk_create(rows)
        return requests


def sides(*, confidential: bool) -> tuple[Side, Side]:
    """Return our exchange and the stock toolkit's, for a client of this kind each."""
    ours = LazyExchanges(Client.register("Ours", confidential=confidential))
    user = get_user_model().objects.create_user("stock-user", "user@people.example")
    stock = StockExchanges(Client.register("Stock", confidential=confidential), user)
    return Side(ours.prepare, redeem, ours.check), Side(stock.prepare, redeem)
