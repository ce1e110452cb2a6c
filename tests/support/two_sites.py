"""Start the issuer and sites that take its tokens, each a process, on loopback."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from tests.support.dpop import ProofKey

ROOT = Path(__file__).resolve().parents[2]
LOCAL = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A process that serves HTTP on a port of its own and answers lines on its input."""

    def __init__(self, module: str, port: int, **environment: str) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module, str(port)],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> str:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        line = self.process.stdout.readline()
        assert line, "the process died"
        return line.strip()

    def wait_until_up(self) -> None:
        assert self._answer() == "up"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(timeout=15)
            self.process.stdout.close()

    def request(self, method: str, target: str, body: str | None = None, **headers: str):
        """Return status, headers and body."""
        calling = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            calling.request(method, target, body=body, headers={"Connection": "close", **headers})
            response = calling.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            calling.close()


class Issuer(Process):
    """The authorization server, on the test's database, with signing keys that the test chooses."""

    def __init__(self, signing_keys: list[str], port: int | None = None, **lazyauth: Any) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        told = {
            "caches": LOCAL,
            "database": str(connection.settings_dict["NAME"]),
            "lazyauth": {
                **{name: value for name, value in settings.LAZYAUTH.items() if name != "PROVIDERS"},
                "PROVIDERS": {},
                "ISSUER": self.url,
                "SIGNING_KEYS": signing_keys,
                **lazyauth,
            },
        }
        super().__init__(
            "tests.support.issuer_process",
            port,
            DJANGO_SETTINGS_MODULE="tests.process_settings",
            LAZYAUTH_TEST_PROCESS=json.dumps(told),
        )

    def change(self, **lazyauth: Any) -> None:
        """Change settings, as a deployment would."""
        assert self.tell(json.dumps(lazyauth)) == "ok"

    def fetches(self, path: str = "/.well-known/jwks.json") -> int:
        """Say how often *path* was asked for."""
        return json.loads(self.tell("log")).count(path)

    def token(
        self, client_id: str, client_secret: str, *, key: ProofKey | None = None, **form: str
    ) -> dict[str, Any]:
        """Return the answer of the token endpoint to a client that acts for itself, and may bind its token to *key*."""
        from urllib.parse import urlencode

        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            **form,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if key is not None:
            headers["DPoP"] = key.proof(f"{self.url}/token")
        status, _, body = self.request("POST", "/token", urlencode(form), **headers)
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer


class ApiSite(Process):
    """A site that takes tokens of an issuer elsewhere."""

    def __init__(self, issuer: str, *, caches: Any = None, port: int | None = None, **lazyauth: Any) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        told = {
            "caches": caches or LOCAL,
            "lazyauth": {
                "ISSUER": issuer,
                "RESOURCE_SERVER": {"audience": self.url},
                "RESOURCE_NAMES": {"/api": "Test API"},
                "ALLOW_LOOPBACK_UPSTREAMS": True,
                **lazyauth,
            },
        }
        super().__init__(
            "tests.support.api_site",
            port,
            DJANGO_SETTINGS_MODULE="tests.support.api_site_settings",
            API_SITE=json.dumps(told),
        )

    def call(self, token: str | None, path: str = "/api/", *, proof: str | None = None):
        """Return status, headers and JSON of a call with this bearer, or with this bound token and its proof."""
        scheme = "Bearer" if proof is None else "DPoP"
        headers = {"Authorization": f"{scheme} {token}"} if token is not None else {}
        headers |= {"DPoP": proof} if proof is not None else {}
        status, answered, body = self.request("GET", path, **headers)
        return status, answered, json.loads(body)

    def set_clock_ahead(self, seconds: int) -> None:
        assert self.tell(json.dumps(seconds)) == "ok"
