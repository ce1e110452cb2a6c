"""A plain reverse proxy behind ``UpstreamSwap``: the tool server needs no code for tokens.

``/notes/…`` goes to the demo upstream's API. Clients come with our access tokens, the upstream sees its own. Run
it with any WSGI server (``example_project.proxy:application``), or for the demo with
``python -m example_project.proxy <port>``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
django.setup()

from django.conf import settings  # noqa: E402  Settings first.

from django_lazyauth.api.wsgi import UpstreamSwap  # noqa: E402 - needs the settings above
from django_lazyauth.kit import fetch  # noqa: E402 - needs the settings above

PREFIX = "/notes"


def reverse_proxy(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Forward a GET with the ``Authorization`` header that arrived here. The proxy does not read the token."""
    path = environ["PATH_INFO"]
    if path != PREFIX or environ["REQUEST_METHOD"] != "GET":
        return _answer(start_response, HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND, b"")
    headers = {"Authorization": environ.get("HTTP_AUTHORIZATION", ""), "Accept": "application/json"}
    try:
        response = fetch.get(f"{settings.UPSTREAM_ISSUER}/api/notes", policy=fetch.OPERATOR, headers=headers)
    except fetch.FetchError:
        return _answer(start_response, HTTPStatus.BAD_GATEWAY, b"")
    return _answer(start_response, HTTPStatus(response.status), response.body)


def _answer(start_response: Any, status: HTTPStatus, body: bytes) -> Iterable[bytes]:
    start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
    return [body]


application = UpstreamSwap(reverse_proxy, paths={f"{PREFIX}/": "demo"})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Log nothing: the log of the site has every request."""


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), application, _Server, _QuietHandler).serve_forever()
