"""Refreshes, ours and the stock toolkit's, as the HTTP requests of one and the same client.

Both rotate, which is the toolkit's default. Ours also keeps the answer, sealed, for a retry within the grace;
the toolkit's default has no grace and keeps nothing.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.test import RequestFactory
from oauth2_provider.models import get_refresh_token_model

from django_lazyauth.models import SealedSuccessor

from .exchange import Client, LazyExchanges, StockExchanges, handler
from .harness import Side


def refresh_request(path: str, client: Client, token: str) -> HttpRequest:
    """Return the request that uses *token* (RFC 6749 §6)."""
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.row.client_id}
    return RequestFactory().post(
        path,
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        secure=True,
        headers={"accept": "application/json"},
        SERVER_NAME="auth.example",
    )


def refresh(request: HttpRequest) -> None:
    """Send the request through all of Django: middleware, URLs, view."""
    response = handler().get_response(request)
    if response.status_code != 200 or b'"refresh_token"' not in response.content:
        raise AssertionError(f"{request.path} answered {response.status_code}: {response.content[:200]!r}")


@dataclass
class Refreshes:
    """Refresh tokens, each of a session of its own, as exchanges hand them out."""

    path: str
    client: Client
    exchanges: Any
    prepared: int = 0

    def prepare(self, count: int) -> list[HttpRequest]:
        self.prepared += count
        requests = []
        for exchange in self.exchanges.prepare(count):
            answer = json.loads(handler().get_response(exchange).content)
            requests.append(refresh_request(self.path, self.client, answer["refresh_token"]))
        return requests

    def check(self) -> None:
        """Every refresh spent one token and wrote one that works."""
        rows = get_refresh_token_model().objects.filter(application=self.client.row)
        spent = rows.filter(revoked__isnull=False).count()
        works = rows.filter(revoked__isnull=True, access_token__isnull=False).count()
        if not spent == works == self.prepared:
            raise AssertionError(f"of {self.prepared} tokens {spent} were spent, and {works} work")


class SealedRefreshes(Refreshes):
    def check(self) -> None:
        super().check()
        if SealedSuccessor.objects.count() != self.prepared:
            raise AssertionError(f"{SealedSuccessor.objects.count()} answers were kept, not {self.prepared}")


def sides(scope: str) -> tuple[Side, Side]:
    """Return our refresh and the stock toolkit's, of a public client with *scope*."""
    ours = Client.register("Ours", confidential=False)
    stock = Client.register("Stock", confidential=False)
    user = get_user_model().objects.create_user("stock-user", "user@people.example", secrets.token_hex(8))
    lazy = SealedRefreshes("/token", ours, LazyExchanges(ours, scope=scope))
    peer = Refreshes("/o/token/", stock, StockExchanges(stock, user, scope=scope))
    return Side(lazy.prepare, refresh, lazy.check), Side(peer.prepare, refresh, peer.check)
