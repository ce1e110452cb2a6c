"""A site whose upstream is down starts, shows its pages, and verifies what the upstream signed before (spec 2)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sqlite3
from contextlib import closing
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from uuid import UUID

import httpx
import pytest

from example_project.demo_client import Browser, Client, PageSeen
from example_project.servers import Stage
from example_project.upstream.people import PEOPLE

ADA = PEOPLE[0]
REDIRECT_URI = "http://127.0.0.1:9/callback"


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("stage")) as running:
        running.manage(
            "createapplication",
            "public",
            "authorization-code",
            "--client-id=a-client",
            f"--redirect-uris={REDIRECT_URI}",
        )
        running.manage("refresh_provider_keys")
        yield running


def begin(stage: Stage, browser: Browser) -> tuple[str, UUID]:
    """Begin a flow up to the upstream's door; return the address there, and the session that it is."""
    client = Client("a-client", REDIRECT_URI, issuer=stage.issuer)
    client.discover()
    choice = browser.open(client.authorization_url())
    assert isinstance(choice, PageSeen)
    away = browser.press(choice, "Demo Upstream")
    assert isinstance(away, str), away
    with closing(sqlite3.connect(stage.database, timeout=10)) as connection:
        newest = "SELECT session_id FROM lazyauth_pendingauthorization ORDER BY created_at DESC LIMIT 1"
        return away, UUID(connection.execute(newest).fetchone()[0])


def id_token_of(stage: Stage, away: str, nonce: str) -> str:
    """Return an ID token as an app of the same client gets it from the upstream, bound to *nonce*."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(away).query).items()}
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked |= {"nonce": nonce, "code_challenge": challenge}
    with Browser(stop_at=stage.site_url) as app:
        page = app.open(f"{stage.upstream_url}{urlsplit(away).path}?{urlencode(asked)}")
        assert isinstance(page, PageSeen)
        back = app.press(page, ADA.name)
    assert isinstance(back, str), back
    configuration = httpx.get(f"{stage.upstream_url}/.well-known/openid-configuration", trust_env=False)
    answer = httpx.post(
        configuration.json()["token_endpoint"],
        data={
            "grant_type": "authorization_code",
            "code": parse_qs(urlsplit(back).query)["code"][0],
            "redirect_uri": asked["redirect_uri"],
            "code_verifier": verifier,
        },
        auth=stage.upstream_client,
        trust_env=False,
    )
    return answer.raise_for_status().json()["id_token"]


@pytest.mark.slow
def test_a_site_starts_and_signs_in_while_its_upstream_is_down(stage):
    """The keys stand in the database: neither starting nor verifying asks anybody."""
    with Browser(stop_at=stage.upstream_url) as browser:
        away, session_id = begin(stage, browser)
        endpoint = f"{stage.site_url}/authorizations/{session_id}/id-token"
        nonce = browser.http.get(endpoint).json()["nonce"]
        id_token = id_token_of(stage, away, nonce)

        stage.upstream.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(stage.upstream_url, trust_env=False)
        stage.restart_site()

        answer = browser.http.post(endpoint, json={"id_token": id_token})
        assert (answer.status_code, answer.json()["state"]) == (200, "authenticated"), answer.text
        consent = browser.open(urljoin(stage.site_url, answer.json()["location"]))
        assert isinstance(consent, PageSeen)
        assert ADA.name in consent.text or ADA.email in consent.text

    # Whoever comes anew is sent to where the stored metadata says.
    with Browser(stop_at=stage.upstream_url) as stranger:
        sent_to, _ = begin(stage, stranger)
    assert urlsplit(sent_to).path == urlsplit(away).path
