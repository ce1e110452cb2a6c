"""A client's server that publishes its keys, on loopback."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.client_keys import ClientKey


class KeyServer:
    """A client's server, with levers.

    Attributes:
        keys: What it publishes.
        asked: How often it was asked.
        delay: Seconds that an answer takes.
        status: Of its answers.
    """

    def __init__(self, *keys: ClientKey) -> None:
        self.keys = list(keys)
        self.body: bytes | None = None
        self.asked = 0
        self.delay = 0.0
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                time.sleep(outer.delay)
                body = outer.body or json.dumps({"keys": [key.public_jwk for key in outer.keys]}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # What closes it waits until it looks.
        serve = self._http.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str = "/jwks") -> str:
        return f"http://127.0.0.1:{self._http.server_port}{path}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
