"""Somebody whose browser is at a provider: they answer its pages until one leads back to our site."""

from __future__ import annotations

from collections.abc import Callable
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
        agree: What they press: ``name=value`` of a button. Without it the first button of a page.
        leave: What they press to sign out there.
        refuse: What they press to cancel: the same, or what the path of a link ends with.
    """

    def __init__(
        self, subject: str, *, fields: dict[str, str], agree: str, refuse: str, leave: str = ""
    ) -> None:
        self.typed = fields | {name: subject for name, text in fields.items() if text == "SUBJECT"}
        self.agree, self.refuse, self.leave = agree, refuse, leave
        #: How often they were asked who they are.
        self.logins = 0
        self._asks_who = [name for name, text in fields.items() if text == "SUBJECT"]
        self.browser = httpx.Client(follow_redirects=False, trust_env=False)

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()

    def sign_out(self, url: str) -> str:
        """Follow a logout URL; return the first URL that is not of its origin."""
        return self._go(url, lambda page: self._press(page, self.leave))

    def answer(self, url: str, *, agree: bool = True) -> str:
        """Follow an authorization URL; return the first URL that is not of its origin."""
        return self._go(url, lambda page: self._press(page, self.agree) if agree else self._refuse(page))

    def _go(self, url: str, act: Callable[[httpx.Response], httpx.Response]) -> str:
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
                page = act(page)
        raise AssertionError("the pages lead nowhere")

    def _press(self, page: httpx.Response, button: str) -> httpx.Response:
        """Press *button* if the page has it, and else the first button."""
        soup = BeautifulSoup(page.text, "html.parser")
        name, _, value = button.partition("=")
        found = soup.find("button", {"name": name, "value": value}) if value else None
        form = found.find_parent("form") if found else soup.find("form")
        if found and form is None:
            form = soup.find("form", id=found["form"])
        assert form is not None, page.text
        self.logins += any(form.find("input", {"name": name}) is not None for name in self._asks_who)
        sent = _fields(form, self.typed) | ({name: [value]} if found else {})
        return self.browser.post(urljoin(str(page.url), form.get("action", "")), data=sent)

    def _refuse(self, page: httpx.Response) -> httpx.Response:
        links = [link["href"] for link in BeautifulSoup(page.text, "html.parser").find_all("a", href=True)]
        found = [link for link in links if self.refuse and urlsplit(link).path.endswith(self.refuse)]
        if found:
            return self.browser.get(urljoin(str(page.url), found[0]))
        return self._press(page, self.refuse)


def _fields(form: Tag, typed: dict[str, str]) -> dict[str, list[str]]:
    """Return what a browser sends. Boxes are left as they are."""
    sent: dict[str, list[str]] = {}
    for field in form.find_all("input"):
        is_off = field.get("type") in {"checkbox", "radio"} and not field.has_attr("checked")
        if field.get("name") and not is_off:
            sent.setdefault(field["name"], []).append(typed.get(field["name"], field.get("value", "")))
    return sent
