"""A server of OAuth that answers as it is told, on a port of its own, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

Answer = tuple[int, Any]


def new_tokens(number: int) -> Answer:
    """Rotate: the first refresh gives ``access-1`` and ``refresh-1``."""
    return 200, {
        "access_token": f"access-{number}",
        "refresh_token": f"refresh-{number}",
        "token_type": "Bearer",
        "expires_in": 3600,
    }


class TokenServer:
    """Serves while the ``with`` block lasts.

    Attributes:
        answer: Makes status and body of an answer from the number of the request, from 1. Text is sent as it is.
        seconds: How long each answer takes.
        forms: What was posted.
        headers: Headers of the same requests.
        documents: What GET answers, by path.
        statuses: The status of that, where it is not 200.
        posts: What other paths than that of the token endpoint answer.
        more_headers: Sent with each answer.
    """

    def __init__(self) -> None:
        self.answer: Callable[[int], Answer] = new_tokens
        self.seconds = 0.0
        self.forms: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.more_headers: dict[str, str] = {}
        self.documents: dict[str, Any] = {}
        self.statuses: dict[str, int] = {}
        self.posts: dict[str, Callable[[dict[str, Any]], Answer]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> TokenServer:
        parent = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                parent.handle(self)

            def do_GET(self) -> None:
                document = parent.documents.get(self.path)
                status = parent.statuses.get(self.path, 404 if document is None else 200)
                parent.send(self, (status, document or {}))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        if (post := self.posts.get(request.path)) is not None:
            self.send(request, post(json.loads(body) if body.startswith("{") else dict(parse_qsl(body))))
            return
        self.forms.append(dict(parse_qsl(body)))
        self.headers.append(dict(request.headers))
        time.sleep(self.seconds)
        self.send(request, self.answer(len(self.forms)))

    def send(self, request: BaseHTTPRequestHandler, answered: Answer) -> None:
        status, answer = answered
        if status == 0:
            request.connection.close()
            return
        text = answer if isinstance(answer, str) else json.dumps(answer)
        request.send_response(status)
        request.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
        request.send_header("Content-Length", str(len(text.encode())))
        for name, value in self.more_headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(text.encode())
