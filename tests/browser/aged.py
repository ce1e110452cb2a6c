"""What takes a person months: many sessions, and a sign-in that is not new any more. Written from outside the site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing

from django_lazyauth.sessions.browser import SESSION_KEY

from .site import Site

#: Of Django's sessions in the database.
SALT = "django.contrib.sessions.SessionStore"
#: No other row of the tests comes near.
FIRST = 1_000_000
REFRESH, ACCESS = "oauth2_provider_refreshtoken", "oauth2_provider_accesstoken"


@contextmanager
def signed_in_often(site: Site, times: int) -> Iterator[None]:
    """Have so many further sessions beside the newest, of the same person at the same client."""
    newest = f"SELECT * FROM {REFRESH} WHERE revoked IS NULL ORDER BY id DESC LIMIT 1"
    access = {
        "id": f"{FIRST} + n",
        "token": "'again-' || n",
        "token_checksum": "printf('%064x', n)",
        "source_refresh_token_id": "NULL",
        "id_token_id": "NULL",
    }
    _copy(
        site,
        ACCESS,
        f"SELECT * FROM {ACCESS} WHERE id = (SELECT access_token_id FROM ({newest}))",
        access,
        times,
    )
    refresh = {
        "id": f"{FIRST} + n",
        "access_token_id": f"{FIRST} + n",
        "token": "token || '-again-' || n",
        # A session id begins with its time (UUIDv7).
        "token_family": "substr(token_family, 1, 20) || printf('%012x', n)",
    }
    _copy(site, REFRESH, newest, refresh, times)
    yield
    for table in (REFRESH, ACCESS):
        site.execute(f"DELETE FROM {table} WHERE id > {FIRST}")


def _copy(site: Site, table: str, row: str, own: dict[str, str], times: int) -> None:
    """Write a row so many times, with columns of its own in each copy."""
    columns = [found[1] for found in site.execute(f"PRAGMA table_info({table})")]
    chosen = ", ".join(own.get(column, column) for column in columns)
    count = "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ?)"
    site.execute(
        f"{count} INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM count, ({row})", times
    )


def age_sign_ins(site: Site) -> None:
    """Let an hour pass since every browser was signed in."""
    secret = Path(site.directory, "site", "dev-secret-key").read_text().strip()
    for key, text in site.execute("SELECT session_key, session_data FROM django_session"):
        kept = signing.loads(text, key=secret, salt=SALT, serializer=JSONSerializer)
        if SESSION_KEY in kept:
            kept[SESSION_KEY]["auth_time"] -= 3600
        aged = signing.dumps(kept, key=secret, salt=SALT, serializer=JSONSerializer, compress=True)
        site.execute("UPDATE django_session SET session_data = ? WHERE session_key = ?", aged, key)
