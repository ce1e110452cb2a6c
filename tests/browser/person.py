"""Somebody with a browser: what they open, press and type, and what their browser complains about."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, WebError

from example_project.upstream.people import PEOPLE, Person

from .client import OAuthClient
from .site import OPERATORS_PASSWORD, Site

ADA, GRACE, ALAN = PEOPLE
UPSTREAM = "Demo Upstream"
PASSWORD = "E-mail and password"


class Somebody:
    """One browser profile; each page is a tab.

    Attributes:
        complaints: Errors and warnings of the console and uncaught errors of scripts. A violated
            Content-Security-Policy is one (CSP Level 3 §5.3).
        visited: Every URL that the browser asked for, in order.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.complaints: list[str] = []
        self.visited: list[str] = []
        context.set_default_timeout(60_000)
        context.on("console", self._note_console)
        context.on("weberror", self._note_error)
        context.on("request", self._note_request)
        self.page: Page = context.new_page()

    def _note_console(self, message: ConsoleMessage) -> None:
        url = message.location["url"]
        # The upstream is not under test, and has no icon.
        if message.type in ("error", "warning") and not url.endswith("/favicon.ico"):
            self.complaints.append(f"{message.type}: {message.text} ({url})")

    def _note_error(self, error: WebError) -> None:
        self.complaints.append(str(error.error))

    def _note_request(self, request: Request) -> None:
        self.visited.append(request.url)

    def excuse_status(self, status: int) -> None:
        """Take the status of an error page, which the console names, off the list; nothing else may be on it."""
        assert self.complaints, "The console should name the status of the page."
        assert all(f"status of {status}" in complaint for complaint in self.complaints), self.complaints
        self.complaints.clear()

    # -- one tab -----------------------------------------------------------------------------------------

    def open(self, client: OAuthClient, page: Page | None = None, **changes: str | None) -> Page:
        """Follow the client's link to the authorization endpoint."""
        page = page or self.page
        page.goto(client.url(**changes))
        return page

    def button(self, name: str, page: Page | None = None) -> Locator:
        return (page or self.page).get_by_role("button", name=name, exact=True)

    def press(self, name: str, page: Page | None = None) -> None:
        """Press a button and wait for what comes of it."""
        page = page or self.page
        with page.expect_navigation():
            self.button(name, page).click()

    def choose(self, provider: str, page: Page | None = None) -> None:
        self.press(f"Continue with {provider}", page)

    def follow(self, link: str) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("link", name=link, exact=True).click()

    def sign_in_upstream(self, person: Person = ADA, page: Page | None = None) -> None:
        self.press(f"{person.name} {person.email}", page)

    def fill(self, **fields: str) -> None:
        """Type into the fields of these names."""
        for name, value in fields.items():
            self.page.locator(f"input[name={name}]").fill(value)

    @property
    def heading(self) -> str:
        return self.page.get_by_role("heading", level=1).inner_text()

    @property
    def text(self) -> str:
        return self.page.locator("main").inner_text()

    def sign_in_as_operator(self, site: Site) -> None:
        """Sign in to the admin, as a superuser who is written for it."""
        site.make_operator()
        self.page.goto(f"{site.url}/admin/")
        self.fill(username="operator", password=OPERATORS_PASSWORD)
        with self.page.expect_navigation():
            self.page.locator("input[type=submit]").click()

    # -- a journey ---------------------------------------------------------------------------------------

    def allow_as(self, person: Person, client: OAuthClient) -> dict[str, Any]:
        """Go all the way as *person*, who was never here before; return the tokens."""
        self.open(client)
        self.choose(UPSTREAM)
        self.sign_in_upstream(person)
        self.press("Allow")
        return client.redeem(self.page.url)
