"""Ask through the browser of this machine, and listen on loopback for the answer (RFC 8252 §7.3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import queue
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..answers import ask
from ..errors import LoginFailed, error_code
from ..proof import ProofKey
from .discovery import Server

_PATH: Final = "/callback"
_PAGE: Final = b"<!doctype html><meta charset=utf-8><title>Done</title><p>You can close this window.</p>"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        client: Id and secret.
        scope: Separated by spaces; ``None`` leaves it to the server.
        key: That the tokens are bound to.
    """

    client: tuple[str, str | None] = field(repr=False)
    scope: str | None
    key: ProofKey | None

    def fields(self, server: Server) -> dict[str, str]:
        wanted = {"scope": self.scope, "resource": server.resource}
        return {name: value for name, value in wanted.items() if value is not None}


def ask_by_browser(
    server: Server, wanted: Request, *, open_browser: Callable[[str], object], seconds: float
) -> tuple[dict[str, Any], float]:
    """Return the answer of the token endpoint to the code that a person's browser brought, and when it was asked.

    Raises:
        LoginFailed: They said no, or nothing in *seconds*, or the answer is not this server's.
        TokenRefused, NoAnswer: The code was not redeemed.
    """
    if server.authorization_endpoint is None:
        raise LoginFailed("The server signs in nobody by browser.", reason="no_authorization_endpoint")
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    with _Listener(state) as listener:
        query = {
            "response_type": "code",
            "client_id": wanted.client[0],
            "redirect_uri": listener.redirect_uri,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **wanted.fields(server),
        }
        separator = "&" if urlsplit(server.authorization_endpoint).query else "?"
        open_browser(f"{server.authorization_endpoint}{separator}{urlencode(query)}")
        answer = listener.wait(seconds)
    form = {
        "grant_type": "authorization_code",
        "code": _code(server, answer),
        "redirect_uri": listener.redirect_uri,
        "code_verifier": verifier,
    }
    if server.resource is not None:
        form["resource"] = server.resource
    asked_at = time.time()
    return ask(server.token_endpoint, form, client=wanted.client, key=wanted.key), asked_at


def _code(server: Server, answer: dict[str, str]) -> str:
    """Return the code, if the answer is this server's (RFC 9207 §2.4)."""
    if answer.get("iss", "" if server.sends_issuer else server.issuer) != server.issuer:
        raise LoginFailed("The answer is of another server.", reason="iss")
    if "code" in answer and "error" not in answer:
        return answer["code"]
    reason = error_code(answer.get("error")) or "no_code"
    raise LoginFailed(f"The server refused: {reason}.", reason=reason)


class _Listener:
    """Waits on a free port for the one request whose state is ours. Others do not end the sign-in."""

    def __init__(self, state: str) -> None:
        self._answers: queue.Queue[dict[str, str]] = queue.Queue()
        answers = self._answers

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                pairs = parse_qsl(parts.query)
                answer = dict(pairs)
                is_ours = hmac.compare_digest(answer.get("state", "").encode(), state.encode())
                if parts.path != _PATH or not is_ours or len(pairs) != len(answer):
                    self.send_error(404)
                    return
                self.send_response(200)
                for name, value in _HEADERS.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(_PAGE)
                answers.put(answer)

            def log_message(self, *_: object) -> None:
                """Write nothing: the line would hold the code."""

        # A browser opens connections in advance. One that says nothing must not keep the others waiting.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def redirect_uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{_PATH}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float) -> dict[str, str]:
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            raise LoginFailed("Nobody answered in time.", reason="timeout") from None


_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Length": str(len(_PAGE)),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'",
}
