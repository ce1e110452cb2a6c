"""How much a sign-in writes to the write-ahead log, beside a sign-in at the stock toolkit.

Ours: authorization request, callback, consent, exchange and refresh. The peer: the same with django-oauth-toolkit's
default settings and Django's login page, for a user who exists. Ours is new to the site in one comparison, and known in
the other. Only ours writes tokens of an upstream.

Only the records of this database count, however busy the server is. Images of whole pages do not count: their number
depends on when the last checkpoint was.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client as Browser
from oauth2_provider.models import get_application_model

from tests.support.journey import OAuthClient, come_back, consent, form_of, get, post, post_form, query_of

from .operations import CLIENT, expect, start_sign_in
from .sites import Site

WARM_UP_RUNS = 5
OURS = OAuthClient(CLIENT.client_id, scope="openid")
STOCK = OAuthClient("stock-client", scope="openid")
PASSWORD = "a-password-of-the-benchmark"
BAR = 2.5

COUNTED = """
WITH record AS (SELECT * FROM pg_get_wal_records_info(%(start)s, %(end)s)),
     ours AS (SELECT DISTINCT xid FROM record WHERE block_ref LIKE %(database)s AND xid::text <> '0')
SELECT COUNT(*), COALESCE(SUM(record_length - fpi_length), 0) FROM record
WHERE block_ref LIKE %(database)s OR xid IN (SELECT xid FROM ours)
"""


@dataclass(frozen=True)
class LogVolume:
    """Bytes and records of one sign-in on average, ours and the peer's."""

    name: str
    ours: float
    peer: float
    our_records: float
    peer_records: float

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def holds(self) -> bool:
        return self.ratio <= BAR


def log_volumes(site: Site, *, samples: int) -> list[LogVolume]:
    """Measure both sides in turns."""
    if not samples:
        return []
    with site.open():
        _prepare()
        sides: list[Callable[[], None]] = [
            lambda: _sign_in(secrets.token_hex(8)),
            lambda: _sign_in("somebody-known"),
            _sign_in_at_stock,
        ]
        totals = [[0, 0] for _ in sides]
        for sample in range(WARM_UP_RUNS + samples):
            for side, total in zip(sides, totals, strict=True):
                records, written = _written(side)
                if sample >= WARM_UP_RUNS:
                    total[0] += records
                    total[1] += written
    new, known, stock = [(records / samples, written / samples) for records, written in totals]
    return [
        LogVolume(f"sign-in, exchange and refresh of {who}", ours[1], stock[1], ours[0], stock[0])
        for who, ours in (("somebody new", new), ("somebody known", known))
    ]


def _prepare() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
    get_user_model().objects.create_user("stock-user", "stock@people.example", PASSWORD)
    get_application_model().objects.create(
        client_id=STOCK.client_id,
        client_type="public",
        authorization_grant_type="authorization-code",
        redirect_uris=STOCK.redirect_uri,
        client_secret="",
        hash_client_secret=False,
        algorithm="RS256",
    )


def _written(work: Callable[[], None]) -> tuple[int, int]:
    """Return how many records *work* wrote, and their bytes without images of pages."""
    start = _flushed()
    work()
    end = _flushed()
    with connection.cursor() as cursor:
        cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        database = f"%/{cursor.fetchone()[0]}/%"
        cursor.execute(COUNTED, {"start": start, "end": end, "database": database})
        records, written = cursor.fetchone()
    return int(records), int(written)


def _flushed() -> Any:
    """Return the position in the log up to which everything is on disk, after writing all that is not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_logical_emit_message(true, '', '')")
        cursor.execute("SELECT pg_current_wal_flush_lsn()")
        return cursor.fetchone()[0]


# -- ours ------------------------------------------------------------------------------------------------------


def _sign_in(subject: str) -> None:
    browser = Browser(SERVER_NAME="auth.example")
    answer = come_back(browser, start_sign_in(browser, OURS), subject=subject)
    if not answer.headers["Location"].startswith(OURS.redirect_uri):
        answer = consent(browser, answer)
    _redeem_and_refresh("/token", OURS, query_of(answer.headers["Location"])["code"])


def _redeem_and_refresh(path: str, client: OAuthClient, code: str) -> None:
    answer = expect(post_form(Browser(SERVER_NAME="auth.example"), path, client.token_form(code)), 200)
    form = {
        "grant_type": "refresh_token",
        "refresh_token": answer.json()["refresh_token"],
        "client_id": client.client_id,
    }
    expect(post_form(Browser(SERVER_NAME="auth.example"), path, form), 200)


# -- the stock toolkit -----------------------------------------------------------------------------------------


def _sign_in_at_stock() -> None:
    browser = Browser(SERVER_NAME="auth.example")
    address = f"/o/authorize/?{STOCK.authorize_query()}"
    login = expect(get(browser, address), 302).headers["Location"]
    expect(get(browser, login), 200)
    expect(post(browser, login, {"username": "stock-user", "password": PASSWORD}), 302)
    _, fields = form_of(expect(get(browser, address), 200))
    answer = expect(post(browser, address, fields | {"allow": "Authorize"}), 302)
    _redeem_and_refresh("/o/token/", STOCK, query_of(answer.headers["Location"])["code"])
