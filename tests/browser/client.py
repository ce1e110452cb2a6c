"""An OAuth client with a redirect URI that somebody listens at: a tiny HTTP server on loopback."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

PAGE = b"<!doctype html><html lang=en><title>Client</title><link rel=icon href=data:,><h1>Back at the client</h1>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """What arrives, the browser's address bar shows."""

    def do_POST(self) -> None:
        """An answer in a form. A page cannot see what was posted, so the address of the next one tells."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(303)
        self.send_header("Location", f"{self.path}?{body}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)


class Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def listener() -> Iterator[str]:
    """Listen on loopback; yields the redirect URI."""
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/callback"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class OAuthClient:
    """One authorization request of a public client: its state, nonce and verifier, and what it redeems."""

    issuer: str
    client_id: str
    redirect_uri: str
    scope: str = "openid profile email offline_access"
    state: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def url(self, **changes: str | None) -> str:
        """Return the authorization URL; a parameter that is ``None`` is left out."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest())
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
            **changes,
        }
        given = {name: value for name, value in parameters.items() if value is not None}
        return f"{self.issuer}authorize?{urlencode(given)}"

    def answer(self, url: str) -> dict[str, str]:
        """Return the parameters of the authorization response, which is this request's and this issuer's."""
        assert url.startswith(f"{self.redirect_uri}?"), url
        parameters = dict(parse_qsl(urlsplit(url).query))
        assert parameters.pop("state") == self.state
        assert parameters.pop("iss") == self.issuer  # RFC 9207 §2.4.
        return parameters

    def redeem(self, url: str) -> dict[str, Any]:
        """Exchange the code in the authorization response (RFC 6749 §4.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": self.answer(url)["code"],
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
        }
        response = httpx.post(f"{self.issuer}token", data=form, trust_env=False, timeout=20)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def userinfo(self, tokens: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        response = httpx.get(f"{self.issuer}userinfo", headers=headers, trust_env=False, timeout=20)
        assert response.status_code == 200, response.text
        claims: dict[str, Any] = response.json()
        return claims
