"""Somebody whose browser is at a provider: they answer its pages until one leads back to our site."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import httpx
from bs4 import BeautifulSoup, Tag

#: Pages and redirects of one sign-in.
MAX_STEPS = 20


class Person:
    """A browser with its own cookies.

    Args:
        subject: Typed into the field that asks who they are.
        fields: What they type into further fields.
        refuse: What they press to cancel: ``name=value`` of a button, or the path that a link ends with.
    """

    def __init__(self, subject: str, *, fields: dict[str, str], refuse: str) -> None:
        self.typed = fields | {name: subject for name, text in fields.items() if text == "SUBJECT"}
        self.refuse = refuse
        self.browser = httpx.Client(follow_redirects=False, trust_env=False)

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()

    def answer(self, url: str, *, agree: bool = True) -> str:
        """Follow an authorization URL; return the first URL that is not of its origin."""
        origin = urlsplit(url).netloc
        page = self.browser.get(url)
        for _ in range(MAX_STEPS):
            if page.is_redirect:
                target = urljoin(str(page.url), page.headers["location"])
                if urlsplit(target).netloc != origin:
                    return target
                page = self.browser.get(target)
            else:
                assert page.status_code == 200, (page.status_code, page.text)
                page = self._press(page) if agree else self._refuse(page)
        raise AssertionError("the pages lead nowhere")

    def _press(self, page: httpx.Response, **pressed: str) -> httpx.Response:
        form = BeautifulSoup(page.text, "html.parser").find("form")
        assert form is not None, page.text
        sent = {name: self.typed.get(name, value) for name, value in _fields(form)} | pressed
        return self.browser.post(urljoin(str(page.url), form.get("action", "")), data=sent)

    def _refuse(self, page: httpx.Response) -> httpx.Response:
        name, _, value = self.refuse.partition("=")
        if value:
            return self._press(page, **{name: value})
        links = [link["href"] for link in BeautifulSoup(page.text, "html.parser").find_all("a", href=True)]
        [link] = [link for link in links if urlsplit(link).path.endswith(self.refuse)]
        return self.browser.get(urljoin(str(page.url), link))


def _fields(form: Tag) -> list[tuple[str, str]]:
    return [(field["name"], field.get("value", "")) for field in form.find_all("input") if field.get("name")]
