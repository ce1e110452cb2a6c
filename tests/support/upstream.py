"""The fixture ``upstream``: a running OpenID provider, and a browser that is signed in there.

Every test may use it. It is imported in one place, ``tests/conftest.py``: each import of a fixture is one of its own,
and would start a process of its own.
"""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.provider_process import CLIENT_ID, CLIENT_SECRET

ROOT = Path(__file__).resolve().parents[2]


class Upstream:
    """The provider process, as the tests see it."""

    client_id = CLIENT_ID
    client_secret = CLIENT_SECRET

    def __init__(self, port: int) -> None:
        self.port = port
        self.issuer = f"http://127.0.0.1:{port}"

    def _request(
        self, method: str, target: str, body: str | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, target, body=body, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()

    def control(self, **changes) -> None:
        """Pull levers (see ``provider_process.DEFAULTS``); also ``reset=True`` and ``rotate_keys=True``.

        ``rotate_keys="same_kid"`` makes new keys with the old ids, and ``"other_type"`` gives each the other's type.
        """
        status, _, body = self._request("POST", "/_control", json.dumps(changes))
        assert status == 200, body

    def requests(self, path: str | None = None) -> list[dict]:
        """Return the requests so far, of one path or all, oldest first."""
        log = json.loads(self._request("GET", "/_log")[2])
        return [entry for entry in log if path is None or entry["path"] == path]

    def refresh_tokens(self) -> set[str]:
        """Return the refresh tokens that were given and not spent. Those that were revoked are among them."""
        return set(json.loads(self._request("GET", "/_refresh_tokens")[2]))

    def id_token(self, *, sub: str = "person-1", nonce: str | None = "n") -> str:
        """Return an ID token that the provider signs now."""
        status, _, body = self._request("POST", "/_sign", json.dumps({"sub": sub, "nonce": nonce}))
        assert status == 200, body
        return body.decode()

    def logout_token(self, *, header: dict | None = None, **claims) -> str:
        """Return a logout token that the provider signs now; a claim that is ``None`` is not in it."""
        made = {
            "sub": None,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "jti": secrets.token_urlsafe(12),
            **dict.fromkeys(("auth_time", "email", "email_verified", "name", "amr")),
            **claims,
        }
        self.control(claims=made, header=header or {})
        token = self.id_token(nonce=None)
        self.control(claims={}, header={})
        return token

    def authorize(self, url: str, **levers) -> str:
        """Follow *url* like a browser that is signed in there; return the callback URL.

        Levers are set first: ``upstream.authorize(url, sub="person-2", claims={"nonce": "other"})``.
        """
        if levers:
            self.control(**levers)
        parts = urlsplit(url)
        assert parts.netloc == f"127.0.0.1:{self.port}", url
        status, headers, body = self._request("GET", f"{parts.path}?{parts.query}")
        assert status == 302, (status, body)
        return headers["Location"]

    def authorize_by_post(self, url: str, **levers) -> tuple[str, dict[str, str]]:
        """Follow *url* like :meth:`authorize`; return the address and the fields of the form that leads back."""
        if levers:
            self.control(**levers)
        parts = urlsplit(url)
        status, _, body = self._request("GET", f"{parts.path}?{parts.query}")
        assert status == 200, (status, body)
        page = json.loads(body)
        return page["action"], page["fields"]

    def config(self, **changes) -> dict:
        """Return this provider as an entry of ``LAZYAUTH["PROVIDERS"]``."""
        return {
            "issuer": self.issuer,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            **changes,
        }

    def sso_config(self) -> dict:
        """Return this provider as an entry of ``LAZYAUTH["SSO_DOMAINS"]`` whose document is not on port 443."""
        return {"discovery_url": f"{self.issuer}/.well-known/lazyauth-sso"}

    def oauth2_config(self, **changes) -> dict:
        """Return this provider as a GitHub-like one."""
        return {
            "type": "oauth2",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "token_endpoint_auth_method": "client_secret_post",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/user",
            "emails_endpoint": f"{self.issuer}/user/emails",
            "scopes": ["read:user", "user:email"],
            "subject": "id",
            **changes,
        }


@pytest.fixture(scope="session")
def upstream_process():
    """The process itself, one for the whole run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.provider_process"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Upstream(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


@pytest.fixture
def sso(upstream, settings):
    """The same provider, found by discovery as that of ``acme.example``. Its client has no secret."""
    upstream.control(public_client=True)
    settings.LAZYAUTH = {
        **settings.LAZYAUTH,
        "SSO_DOMAINS": {"acme.example": upstream.sso_config()},
    }
    return upstream


@pytest.fixture
def upstream(upstream_process, settings):
    """The provider with its levers at rest, configured here as ``acme`` beside what was configured before."""
    upstream_process.control(reset=True)
    settings.LAZYAUTH = {
        **settings.LAZYAUTH,
        "ALLOW_LOOPBACK_UPSTREAMS": True,
        "PROVIDERS": {**settings.LAZYAUTH["PROVIDERS"], "acme": upstream_process.config()},
    }
    return upstream_process
