"""What is done at a site, from the first page of a sign-in to the sweep, and to each list of the admin.

What an operation works on is made beforehand. Where it is about a session that stands, it is any of them, so that the
pages which it reads are not warmer at a large site than they would be.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, get_application_model, get_refresh_token_model

from django_lazyauth.kit.secret_digest import digest_secret
from django_lazyauth.models import FlowAnswer, PendingAuthorization, SealedSuccessor, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.sessions import end
from django_lazyauth.tokens import keys
from django_lazyauth.upkeep.sweep import sweep
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault.store import UpstreamBundle, store
from tests.support.journey import (
    OAuthClient,
    come_back,
    consent,
    get,
    make_browser,
    post_form,
    query_of,
    redeem,
)
from tests.support.many_rows import Filled

from .names import API, ASKING_CLIENT

CLIENT = OAuthClient("grown-client")
ASKING_SECRET = secrets.token_urlsafe(32)
#: Rows of each of our own tables that expire between two sweeps.
EXPIRED = 20


@dataclass(frozen=True)
class Operation:
    """One thing that is done at a site.

    Attributes:
        prepare: Returns what one run works on. Not timed.
        run: Does it once. Timed; raises if it was not done.
        bar: With a larger site it takes at most this multiple of the time.
    """

    name: str
    prepare: Callable[[Filled], Any]
    run: Callable[[Any], Any]
    bar: float = 1.15


def register_clients() -> Any:
    """Write the client of the filled sessions, and one that introspects. Return the first."""
    rows = get_application_model().objects
    rows.create(
        client_id=ASKING_CLIENT,
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=digest_secret(ASKING_SECRET),
        hash_client_secret=False,
    )
    return rows.create(
        client_id=CLIENT.client_id,
        name="Grown",
        client_type="public",
        authorization_grant_type="authorization-code",
        redirect_uris=CLIENT.redirect_uri,
        client_secret="",
        hash_client_secret=False,
        algorithm="RS256",
    )


def operations() -> list[Operation]:
    return [
        Operation("start of a sign-in", lambda filled: make_browser(), start_sign_in),
        Operation("callback", _sent_upstream, _called_back),
        Operation("exchange", _code, _redeemed),
        Operation("refresh", _refresh_token, _refreshed),
        Operation("introspection", _access_token, _introspected),
        Operation("vault read", _bundle, _read),
        Operation("account page", _signed_in, _account),
        Operation("end of a session", _session, _ended),
        Operation("sweep", _expire, _swept),
        *(Operation(f"admin: {path}", _operator, partial(_listed, path), bar=2) for path in _lists()),
    ]


def _any_number(filled: Filled) -> int:
    return random.randint(1, filled.count)


def expect(answer: Any, status: int) -> Any:
    if answer.status_code != status:
        raise AssertionError(f"{answer.status_code}: {answer.content[:300]!r}")
    return answer


# -- a sign-in -------------------------------------------------------------------------------------------------


def start_sign_in(browser: Browser, client: OAuthClient = CLIENT) -> Any:
    """Open the authorization endpoint. It leads to the only provider, so the request becomes a row."""
    return expect(get(browser, f"/authorize?{client.authorize_query()}"), 303)


def _sent_upstream(filled: Filled) -> tuple[Browser, Any]:
    browser = make_browser()
    return browser, start_sign_in(browser)


def _called_back(sent: tuple[Browser, Any]) -> Any:
    browser, redirect = sent
    return expect(come_back(browser, redirect, subject=secrets.token_hex(8)), 303)


def _code(filled: Filled) -> str:
    sent = _sent_upstream(filled)
    answer = consent(sent[0], _called_back(sent))
    return query_of(answer.headers["Location"])["code"]


def _redeemed(code: str) -> Any:
    return expect(redeem(CLIENT, code), 200)


# -- a session -------------------------------------------------------------------------------------------------


def _refresh_token(filled: Filled) -> str:
    return filled.refresh_token(_unspent(filled))


def _refreshed(token: str) -> Any:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT.client_id}
    return expect(post_form(make_browser(), "/token", form), 200)


def _unspent(filled: Filled) -> int:
    """Return the number of any session that still stands as it was filled in."""
    while True:
        number = _any_number(filled)
        row = get_refresh_token_model().objects.filter(pk=filled.primary_key(number), revoked__isnull=True)
        if row.exists():
            return number


def _access_token(filled: Filled) -> str:
    """Give any session an access token that is good for the API, as a refresh would."""
    number = _unspent(filled)
    expires = timezone.now() + timedelta(hours=1)
    claims = {
        "iss": "https://auth.example",
        "sub": str(filled.primary_key(number)),
        "aud": API,
        "client_id": CLIENT.client_id,
        "iat": int(timezone.now().timestamp()),
        "exp": int(expires.timestamp()),
        "jti": secrets.token_urlsafe(16),
        "scope": "openid",
        "tsid": str(filled.session_id(number)),
    }
    row = get_access_token_model().objects.get(pk=filled.primary_key(number))
    row.token = keys.sign(claims, key=keys.key_for(), typ="at+jwt")
    row.expires, row.resource = expires, [API]
    row.save()
    return row.token


def _introspected(token: str) -> Any:
    form = {"token": token, "client_id": ASKING_CLIENT, "client_secret": ASKING_SECRET}
    answer = expect(post_form(make_browser(), "/introspect", form), 200)
    if answer.json()["active"] is not True:
        raise AssertionError(answer.content)


def _bundle(filled: Filled) -> UpstreamToken:
    row = UpstreamToken.objects.get(pk=filled.primary_key(_unspent(filled)))
    store(
        UpstreamBundle(
            session_id=row.session_id,
            provider=row.provider,
            user_id=row.user_id,
            client_id=row.client_id,
            subject=row.subject,
            access_token=secrets.token_urlsafe(200),
            refresh_token=secrets.token_urlsafe(40),
        )
    )
    return row


def _read(row: UpstreamToken) -> Any:
    return fresh_token(row.session_id, row.provider, user_id=row.user_id, client_id=row.client_id)


def _signed_in(filled: Filled) -> Browser:
    browser = make_browser()
    browser.force_login(get_user_model().objects.get(pk=filled.primary_key(_unspent(filled))))
    return browser


def _account(browser: Browser) -> Any:
    return expect(get(browser, "/account/sessions"), 200)


def _session(filled: Filled) -> Any:
    return filled.session_id(_unspent(filled))


def _ended(session_id: Any) -> None:
    if not end.end_session(session_id):
        raise AssertionError(f"{session_id} had ended")


# -- the sweep -------------------------------------------------------------------------------------------------


def _expire(filled: Filled) -> None:
    """Write rows of our own tables that have expired, and let some sessions that live be looked at again.

    Sessions are looked at again a fixed time after they began, so those of one sweep began one after the other.
    """
    now = timezone.now()
    client = get_application_model().objects.get(client_id=CLIENT.client_id)
    first = random.randint(1, filled.count - EXPIRED)
    people = [filled.primary_key(first + number) for number in range(EXPIRED)]
    PendingAuthorization.objects.filter(user__in=people).update(expires_at=now)
    for make in (_expired_request, _expired_bundle, _expired_successor, _expired_answer):
        rows = [make(now, client.pk, person) for person in people]
        type(rows[0])._default_manager.bulk_create(rows)


def _expired_request(now: datetime, client: int, user: int) -> PendingAuthorization:
    return PendingAuthorization(
        client_id=client,
        redirect_uri=CLIENT.redirect_uri,
        code_challenge=CLIENT.challenge,
        binding_digest=secrets.token_hex(32),
        network="198.51.100.0/24",
        expires_at=now,
    )


def _expired_bundle(now: datetime, client: int, user: int) -> UpstreamToken:
    return UpstreamToken(
        session_id=uuid7(),
        provider="demo",
        user_id=user,
        client_id=client,
        subject=secrets.token_hex(8),
        access_token=secrets.token_urlsafe(600),
        retain_until=now,
    )


def _expired_successor(now: datetime, client: int, user: int) -> SealedSuccessor:
    return SealedSuccessor(
        token_digest=secrets.token_hex(32),
        family=uuid7(),
        sealed=secrets.token_urlsafe(1000),
        expires_at=now,
        created_at=now - timedelta(minutes=1),
    )


def _expired_answer(now: datetime, client: int, user: int) -> FlowAnswer:
    then = now - timedelta(days=1)
    return FlowAnswer(request_digest=secrets.token_hex(32), claimed_at=then, answered_at=then)


def _swept(prepared: None) -> None:
    counts = {swept.kind: swept.count for swept in sweep()}
    if counts["pending authorizations"] < EXPIRED:
        raise AssertionError(counts)


# -- the admin -------------------------------------------------------------------------------------------------

_OPERATOR = "operator"


def _lists() -> list[str]:
    """Return the paths of the lists that are ours, and of those of django-oauth-toolkit's tables."""
    models = [model._meta for model in admin.site._registry]
    ours = [meta for meta in models if meta.app_label != "auth"]
    return [f"{meta.app_label}/{meta.model_name}" for meta in ours]


def _operator(filled: Filled) -> Browser:
    users = get_user_model().objects
    browser = make_browser()
    operator = users.filter(username=_OPERATOR).first() or users.create_superuser(_OPERATOR)
    browser.force_login(operator)
    return browser


def _listed(path: str, browser: Browser) -> Any:
    return expect(get(browser, f"/admin/{path}/"), 200)
