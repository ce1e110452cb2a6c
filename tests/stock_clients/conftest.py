"""Stock clients, unmodified, against a site that listens on loopback; and a person who answers its pages."""

from __future__ import annotations

from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest
from bs4 import BeautifulSoup

from tests.support.journey import query_of

#: Nobody listens there: the person stops when a page leads to it.
REDIRECT_URI = "http://127.0.0.1:43210/callback"


class Person:
    """Somebody with a browser who signs in with ``demo`` and allows everything."""

    def __init__(self, origin: str, *, subject: str = "ada") -> None:
        self.origin = origin
        self.subject = subject

    def answer(self, url: str) -> str:
        """Follow an authorization URL to its end; return the URL that the client is sent."""
        with httpx.Client(follow_redirects=False, trust_env=False) as browser:
            response = browser.get(url)
            for _ in range(10):
                if response.is_redirect:
                    target = urljoin(str(response.url), response.headers["location"])
                    if target.startswith(REDIRECT_URI):
                        return target
                    if urlsplit(target).hostname == "upstream.example":
                        answer = {"state": query_of(target)["state"], "code": self.subject}
                        target = f"{self.origin}/callback/demo?{urlencode(answer)}"
                    response = browser.get(target)
                else:
                    assert response.status_code == 200, (response.status_code, response.text)
                    response = self._press(browser, response)
        raise AssertionError("the pages lead nowhere")

    def _press(self, browser: httpx.Client, page: httpx.Response) -> httpx.Response:
        form = BeautifulSoup(page.text, "html.parser").find("form")
        assert form is not None, page.text
        fields = {
            field["name"]: field.get("value", "") for field in form.find_all("input") if field.get("name")
        }
        names = {button.get("name") for button in form.find_all("button")}
        fields |= {"decision": "allow"} if "decision" in names else {"provider": "demo"}
        return browser.post(urljoin(str(page.url), form["action"]), data=fields)


@pytest.fixture
def site(live_server, lazyauth, settings) -> str:
    """The origin of a running site that is its own issuer; it has an API at ``/api/whoever``."""
    settings.DEBUG = True
    settings.ROOT_URLCONF = "tests.registration.test_managing"
    lazyauth(ISSUER=live_server.url)
    return live_server.url


@pytest.fixture
def person(site) -> Person:
    return Person(site)
