"""Somebody with a browser, over HTTP: opens what a client tells them to open, registers with a password, allows."""

from __future__ import annotations

from urllib.parse import urljoin

import httpx
from bs4 import BeautifulSoup

from tests.browser.client import OAuthClient
from tests.support.reader import Reader

ADDRESS, PASSWORD = "ada@people.example", "correct horse battery staple"
#: In a mail with a code.
CODE = r"\n +([0-9A-Z]{4}-[0-9A-Z]{4})\r?\n"


class Person:
    """A browser with cookies.

    Attributes:
        asks: The text of the consent page.
    """

    def __init__(self, reader: Reader, site: str = "runserver", **options: object) -> None:
        self.reader, self.site = reader, site
        self.http = httpx.Client(follow_redirects=True, trust_env=False, timeout=60, **options)
        self.asks = ""

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def submit(self, page: httpx.Response, **values: str) -> httpx.Response:
        """Fill in the first form of the page, and send it."""
        form = BeautifulSoup(page.text, "html.parser").find("form")
        assert form is not None, page.text
        fields = {one["name"]: one.get("value", "") for one in form.find_all("input") if one.get("name")}
        return self.http.post(urljoin(str(page.url), form["action"]), data=fields | values)

    def register(self, url: str) -> httpx.Response:
        """Open *url* and register; return the page that asks for consent. The code is in the log of the site."""
        page = self.submit(self.http.get(url), provider="password")
        page = self.http.get(str(page.url.copy_with(query=b"step=register")))
        page = self.submit(page, email=ADDRESS, password=PASSWORD)
        return self.submit(page, code=self.reader.found(self.site, CODE))

    def sign_up(self, url: str) -> httpx.Response:
        """Register, and allow the client; return where that leads."""
        page = self.register(url)
        self.asks = page.text
        return self.submit(page, decision="allow")

    def sign_in(self, url: str, name: str = ADDRESS) -> httpx.Response:
        """Open *url* and sign in with the password; return where that leads."""
        page = self.submit(self.http.get(url), provider="password")
        page = self.submit(page, email=name, password=PASSWORD)
        if 'value="allow"' in page.text:
            self.asks = page.text
            page = self.submit(page, decision="allow")
        return page


def tokens(person: Person, client: OAuthClient, back: httpx.Response, token_endpoint: str) -> dict[str, str]:
    """Redeem the code that arrived at the client (RFC 6749 §4.1.3)."""
    form = {
        "grant_type": "authorization_code",
        "code": dict(back.url.params)["code"],
        "redirect_uri": client.redirect_uri,
        "client_id": client.client_id,
        "code_verifier": client.verifier,
    }
    answer = person.http.post(token_endpoint, data=form)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found
