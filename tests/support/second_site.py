"""A second site: it hears that sessions ended, checks that with Authlib and this site's published keys, and answers.

``python -m tests.support.second_site <port> <issuer> <client id>``; with port 0 it chooses one. It prints its port.
What it heard is at ``/_heard``; ``POST /_answer`` with ``{"status": 503}`` makes it answer so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

ROOT = Path(__file__).resolve().parents[2]
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


def check(token, issuer, client_id):
    """Do what OpenID Connect Back-Channel Logout §2.6 asks of a site; return the claims."""
    from authlib.jose import JsonWebKey, JsonWebToken

    metadata = fetch(f"{issuer}/.well-known/openid-configuration")
    keys = JsonWebKey.import_key_set(fetch(metadata["jwks_uri"]))
    claims = JsonWebToken(metadata["id_token_signing_alg_values_supported"]).decode(
        token,
        keys,
        claims_options={
            "iss": {"essential": True, "value": metadata["issuer"]},
            "aud": {"essential": True, "value": client_id},
            "iat": {"essential": True},
            "exp": {"essential": True},
            "jti": {"essential": True},
        },
    )
    claims.validate(now=time.time(), leeway=0)
    assert claims.header["typ"] == "logout+jwt"
    assert claims["events"] == {EVENT: {}}
    assert "nonce" not in claims
    assert claims.get("sid") or claims.get("sub")
    assert claims["exp"] - claims["iat"] <= 120
    return {"claims": dict(claims), "header": dict(claims.header)}


def serve(port, issuer, client_id):
    heard, answers = [], {"status": 200}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def answer(self, status, body=None):
            raw = json.dumps(body).encode() if body is not None else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self):
            self.answer(200, heard)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.path == "/_answer":
                answers.update(json.loads(body))
                self.answer(200)
                return
            entry = {"path": self.path, "type": self.headers["Content-Type"], "at": time.time()}
            heard.append(entry)
            time.sleep(answers.get("sleep", 0))
            if answers["status"] != 200:
                self.answer(answers["status"])
                return
            try:
                (token,) = parse_qs(body, strict_parsing=True)["logout_token"]
                entry |= check(token, issuer, client_id)
            except Exception as error:  # noqa: BLE001 - told to the test.
                entry["error"] = repr(error)
                self.answer(400)
                return
            self.answer(200)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


class SecondSite:
    """The process, as the tests see it."""

    def __init__(self, issuer: str, client_id: str, port: int = 0) -> None:
        self.issuer, self.client_id, self.port = issuer, client_id, port
        self.process = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/backchannel"

    def start(self) -> SecondSite:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.second_site", str(self.port), self.issuer, self.client_id],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline())
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process.stdout.close()
            self.process = None

    def heard(self) -> list[dict]:
        return fetch(f"http://127.0.0.1:{self.port}/_heard")

    def answers(self, **how) -> None:
        body = json.dumps(how).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_answer", body, timeout=5).close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])
