"""After the move the next call upstream renews by itself: nobody is asked to sign in.

The example site and its upstream in processes of their own. A person signs in; then their tokens are put back to
where an earlier deployment kept them, and only the command brings them home.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import redis

from example_project.demo import read_vault_version
from example_project.demo_client import Browser, Client
from example_project.servers import Stage
from example_project.upstream.people import PEOPLE

from .test_redis import URL

ADA = PEOPLE[0]
REDIRECT_URI = "http://127.0.0.1:9/cb"

#: Run inside the site: take the bundle out of the vault, as an earlier deployment would have written it.
TAKE_OUT = """
import json, os
from django.utils import timezone
from django_lazyauth.models import LegacyUpstreamToken, UpstreamToken
from django_lazyauth.vault import store
row = UpstreamToken.objects.get()
bundle = store.get(row.session_id, row.provider, user_id=row.user_id, client_id=row.client_id)
store.delete(row.session_id)
if os.environ["LEGACY_SOURCE"] == "table":
    LegacyUpstreamToken.objects.create(
        session_id=str(row.session_id), provider="oidc", user_id=row.user_id, client_id=row.client_id,
        subject=row.subject, access_token=bundle.access_token, refresh_token=bundle.refresh_token,
        id_token=bundle.id_token, scope=bundle.scope, expires_at=timezone.now(),
    )
else:
    import redis
    value = {
        "provider_id": "oidc", "access_token": bundle.access_token, "refresh_token": bundle.refresh_token,
        "id_token": bundle.id_token, "expires_at": int(timezone.now().timestamp()), "user_id": str(row.user_id),
        "upstream_subject": row.subject, "client_id": row.client.client_id,
    }
    server = redis.Redis.from_url(os.environ["LAZYAUTH_LEGACY_REDIS_URL"])
    server.set(os.environ["LEGACY_PREFIX"] + f"upstream:{row.session_id}", json.dumps(value), ex=3600)
"""


def read_notes(client: Client, access_token: str):
    return client.call_tool(f"{client.issuer}/mcp", "read_notes", access_token)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", ["table", pytest.param("redis", marks=pytest.mark.services)])
@pytest.mark.slow
def test_the_next_call_upstream_renews_silently(source, tmp_path: Path):
    prefix = f"t{secrets.token_hex(4)}:"
    if source == "redis":
        try:
            redis.Redis.from_url(URL).ping()
        except redis.ConnectionError:
            pytest.skip("needs Redis as a service")
    env = {"LEGACY_SOURCE": source, "LEGACY_PREFIX": prefix, "LAZYAUTH_LEGACY_REDIS_URL": URL}
    client_of = Client(client_id="tool-client", redirect_uri=REDIRECT_URI, issuer="")
    with Stage(tmp_path) as stage, client_of as client, Browser(stop_at=REDIRECT_URI) as browser:
        stage.manage(
            "createapplication", "public", "authorization-code",
            "--client-id", client.client_id, "--redirect-uris", REDIRECT_URI, "--name", "Tool client",
        )  # fmt: skip
        client.issuer = stage.site_url
        client.discover()
        page = browser.press(browser.open(client.authorization_url()), "Demo Upstream")
        answer = browser.press(browser.press(page, ADA.name), "Allow")
        access_token = client.redeem(answer)["access_token"]
        assert read_notes(client, access_token).status_code == 200

        # Where an earlier deployment had them, nothing looks on a request.
        stage.manage("shell", "-c", TAKE_OUT, env=env)
        assert read_notes(client, access_token).status_code == 403
        ready = client.call(f"{stage.site_url}/ready", "")
        assert ready.status_code == (503 if source == "table" else 200)

        stage.manage("migrate_legacy_tokens", "--source", source, "--prefix", prefix, env=env)
        assert client.call(f"{stage.site_url}/ready", "").status_code == 200
        assert read_vault_version(stage.database) == 1
        told = read_notes(client, access_token)
        assert told.status_code == 200
        assert [part["text"] for part in told.json()["result"]["content"]] == list(ADA.notes)
        assert read_vault_version(stage.database) == 2
        with closing(sqlite3.connect(stage.database)) as database:
            assert database.execute("SELECT count(*) FROM lazyauth_legacyupstreamtoken").fetchone() == (0,)
        assert "Traceback" not in stage.log.read_text()
