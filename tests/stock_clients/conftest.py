"""Stock clients, unmodified, against a site that listens on loopback; and a person who answers its pages.

The site is set up in the two ways that the documentation knows: its issuer is the origin, or has a path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest
from bs4 import BeautifulSoup

import tests.support.patience  # noqa: F401 - see there
from tests.support.journey import query_of

from . import node as node_module

#: Nobody listens there: the person stops when a page leads to it.
REDIRECT_URI = "http://127.0.0.1:43210/callback"
#: A secret as an operator may have typed it. Form-encoding changes most of its characters (RFC 6749 §2.3.1).
HARD_SECRET = "a+b c%20d%zz:e&f=g/h?i~j" + "0123456789" * 2

#: Name → what the issuer is besides the origin, and the URLs. At the root it ends in "/": there are clients that parse
#: the URL and write it down again before they compare, and a parsed URL always has that slash.
SET_UPS = {
    "issuer at the root": ("/", "urls_at_the_root"),
    "issuer with a path": ("/oauth", "urls_below_a_path"),
    "issuer without a slash": ("", "urls_at_the_root"),
}
DOCUMENTED = ["issuer at the root", "issuer with a path"]


@dataclass(frozen=True)
class Issuer:
    """A running site.

    Attributes:
        url: Its issuer identifier, which is all that a client is told.
        api: A resource of the site that takes its access tokens.
    """

    url: str
    api: str

    @property
    def base(self) -> str:
        """What paths are appended to (RFC 8414 §3.1)."""
        return self.url.rstrip("/")

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


class Person:
    """Somebody with a browser who signs in with ``demo`` and allows everything.

    Attributes:
        pages: How often a page asked them something.
    """

    def __init__(self, origin: str, *, subject: str = "ada", decision: str = "allow") -> None:
        self.origin = origin
        self.subject = subject
        self.decision = decision
        self.pages = 0
        self.browser = httpx.Client(follow_redirects=False, trust_env=False)

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()

    def answer(self, url: str) -> str:
        """Follow an authorization URL to its end; return the URL that the client is sent, or the body of a form."""
        response = self.browser.get(url)
        for _ in range(10):
            if response.is_redirect:
                target = urljoin(str(response.url), response.headers["location"])
                if urlsplit(target).hostname == "upstream.example":
                    came = query_of(target)
                    answer = {"state": came["state"], "code": self.subject}
                    target = f"{came['redirect_uri']}?{urlencode(answer)}"
                elif not target.startswith(f"{self.origin}/"):
                    return target
                response = self.browser.get(target)
            else:
                assert response.status_code == 200, (response.status_code, response.text)
                if posted := self._posted(response):
                    return posted
                response = self._press(response)
        raise AssertionError("the pages lead nowhere")

    def _posted(self, page: httpx.Response) -> str:
        """Return the body that the form of *page* brings to the client, if it leads there; empty otherwise."""
        form = BeautifulSoup(page.text, "html.parser").find("form")
        if form is None or urljoin(str(page.url), form["action"]).startswith(f"{self.origin}/"):
            return ""
        return urlencode({field["name"]: field["value"] for field in form.find_all("input")})

    def _press(self, page: httpx.Response) -> httpx.Response:
        self.pages += 1
        form = BeautifulSoup(page.text, "html.parser").find("form")
        assert form is not None, page.text
        fields = {
            field["name"]: field.get("value", "") for field in form.find_all("input") if field.get("name")
        }
        names = {button.get("name") for button in form.find_all("button")}
        fields |= {"decision": self.decision} if "decision" in names else {"provider": "demo"}
        return self.browser.post(urljoin(str(page.url), form["action"]), data=fields)


@pytest.fixture
def site(live_server, lazyauth, settings) -> str:
    """The origin of a running site that is its own issuer; it has an API at ``/api/whoever``."""
    settings.DEBUG = True
    settings.ROOT_URLCONF = "tests.clients.test_managing"
    lazyauth(ISSUER=live_server.url)
    return live_server.url


@pytest.fixture
def person(site) -> Iterator[Person]:
    with Person(site) as somebody:
        yield somebody


@pytest.fixture(params=DOCUMENTED)
def issuer(request, live_server, lazyauth, settings) -> Issuer:
    """The site in each of the documented set-ups."""
    settings.DEBUG = True
    path, urls = SET_UPS[request.param]
    settings.ROOT_URLCONF = f"tests.stock_clients.{urls}"
    lazyauth(ISSUER=live_server.url + path)
    return Issuer(live_server.url + path, f"{live_server.url}/api/whoever")


@pytest.fixture
def ada(issuer) -> Iterator[Person]:
    """A person for :func:`issuer`."""
    with Person(issuer.origin) as somebody:
        yield somebody


@pytest.fixture(scope="session")
def node() -> node_module.Node:
    """Node with the clients of ``package.json``."""
    return node_module.installed()
