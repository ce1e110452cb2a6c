"""A client that has tokens of ours, of a session that signed in at a real provider process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_lazyauth.models import UpstreamToken
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import store
from tests.support.grants import grants_of
from tests.support.journey import OAuthClient, consent, get, make_browser, query_of, redeem, start
from tests.support.waiting import follow_waiting


def go_upstream(upstream, browser, redirect, **levers):
    """Sign in at the upstream that *redirect* leads to, and come back."""
    # A busy machine may take longer for keys than a page waits.
    redirect = follow_waiting(browser, redirect)
    back = urlsplit(upstream.authorize(redirect.headers["Location"], **levers))
    return get(browser, f"{back.path}?{back.query}")


def sign_in_upstream(upstream, client: OAuthClient, *, provider="acme", **changes) -> dict[str, Any]:
    """Do the whole way through the upstream; return the answer of the token endpoint."""
    browser = make_browser()
    answer = go_upstream(upstream, browser, start(browser, client, provider=provider, **changes))
    if not answer.headers["Location"].startswith(client.redirect_uri):
        answer = consent(browser, answer)
    tokens = redeem(client, query_of(answer.headers["Location"])["code"])
    assert tokens.status_code == 200, tokens.content
    return tokens.json()


def held():
    """Return the bundle of the one session that signed in at the upstream."""
    row = UpstreamToken.objects.get(provider="acme")
    return store.get(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id)


def renewed():
    """Renew that bundle, and return it."""
    row = UpstreamToken.objects.get(provider="acme")
    fresh_token(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id, force=True)
    return held()


@dataclass
class Holder:
    """What the client holds, and what stands behind it."""

    upstream: Any
    tokens: dict[str, Any]

    @property
    def access_token(self) -> str:
        return self.tokens["access_token"]

    @property
    def bearer(self) -> str:
        return f"Bearer {self.access_token}"

    @property
    def rows(self):
        return grants_of(provider="acme")

    def expire(self) -> None:
        self.rows.update(expires_at=timezone.now() - timedelta(seconds=1))

    def upstream_token(self) -> str:
        from django_lazyauth.vault import store

        row = UpstreamToken.objects.get(provider="acme")
        user = get_user_model().objects.get(pk=row.user_id)
        return store.get(row.session_id, "acme", user_id=user.pk, client_id=row.client_id).access_token


@pytest.fixture
def holder(upstream, client_) -> Holder:
    return Holder(upstream, sign_in_upstream(upstream, client_))
