"""Send the browser on. Django refuses unknown schemes; ours were checked against the client's registration."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import HttpResponse, HttpResponseRedirect

from .pages import guard


class ClientRedirect(HttpResponseRedirect):
    """303: whatever the request was, the browser goes on with a GET (RFC 9700 §4.12)."""

    status_code = 303

    def __init__(self, url: str) -> None:
        self.allowed_schemes = [urlsplit(url).scheme]
        super().__init__(url)


def go(url: str) -> HttpResponse:
    """Return a redirect to a URL that a flow made."""
    return guard(ClientRedirect(url))
