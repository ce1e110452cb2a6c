"""Somebody who goes through the pages by keyboard alone, and looks at each in every width and colour scheme.

Not here: where they go (:mod:`.walk`), and what is wrong with a page (:mod:`.looks`).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, Response

from .client import OAuthClient
from .looks import RULES_OF_COLOURS, axe_core, faults_of, overflow_of, violations_of
from .person import Somebody
from .site import Site

ROOT = Path(__file__).resolve().parents[2]
WIDTHS, SCHEMES = (1280, 320), ("light", "dark")
RIGHT_TO_LEFT = ("ar",)
#: The language of the walk that looks at the colours of both schemes in both widths.
COLOURS_IN = "en"
#: Pictures that the documentation keeps: language, scheme and width. All others go to ``build/walk``.
KEPT = {("en", "light", 1280), ("ar", "dark", 320)}
#: They are a hundred, and small.
KEPT_SCALE = 0.55
#: CSS pixels from which sections are tabs.
TABS_FROM = 900
MAX_TABS = 90

FOCUS = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  return [style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth), element.outerHTML.slice(0, 120)];
}"""
#: What is worth a picture: the card with what stands above and below it. In the admin, the page.
CARD = """() => {
  const { clientWidth, scrollHeight } = document.documentElement, main = document.querySelector("main.lazyauth-card");
  if (!main) return { x: 0, y: 0, width: clientWidth, height: scrollHeight };
  const parts = [...document.body.children].map((part) => part.getBoundingClientRect());
  const { left, right } = main.getBoundingClientRect(), edge = 24;
  const x = Math.max(0, left - edge), y = Math.max(0, Math.min(...parts.map((part) => part.top)) + scrollY - edge);
  const bottom = Math.max(...parts.map((part) => part.bottom)) + scrollY + edge;
  return { x, y, width: Math.min(clientWidth, right + edge) - x, height: bottom - y };
}"""
#: A page has loaded before its first frame, and only a frame sets the focus (HTML, "flush autofocus candidates").
SHOWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
#: Where the focus is when the page came: on what is wrong, else on the first field.
BEGIN = """() => {
  const of = (selector) => document.querySelector(`main ${selector}`);
  const wanted = of("[role=alert][tabindex]") ?? of("input:not([type=hidden])");
  return !wanted || wanted === document.activeElement || document.activeElement.outerHTML.slice(0, 120);
}"""


def keep_picture(page: Page, file: Path, *, scale: float = 1) -> None:
    """Keep a picture of the card with ``LAZYAUTH_TEST_SCREENSHOTS=1``. Playwright's own way adds a style to it."""
    if os.environ.get("LAZYAUTH_TEST_SCREENSHOTS") != "1":
        return
    clip = {**page.evaluate(CARD), "scale": scale}
    devtools = page.context.new_cdp_session(page)
    taken = devtools.send("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    devtools.detach()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(base64.b64decode(taken["data"]))


class Walker:
    """One walk.

    Attributes:
        faults: What was wrong, each with the page, the scheme and the width.
        looked: Names of the pages so far.
        may_run_scripts: Whether the pages may.
    """

    def __init__(self, site: Site, person: Somebody, language: str, *, look: str = "plain") -> None:
        self.site, self.person, self.language, self.look_of_site = site, person, language, look
        self.faults: list[str] = []
        self.looked: list[str] = []
        self.may_run_scripts = True
        self.page: Page = person.page
        self.request: OAuthClient = site.client()
        self._devtools = person.context.new_cdp_session(self.page)
        person.context.on("response", self._check_policy)

    def _check_policy(self, response: Response) -> None:
        """Spec 10: no page needs more than its own styles and pictures, and one script where it has one."""
        is_page = response.headers.get("content-type", "").startswith("text/html")
        if not is_page or not response.url.startswith(self.site.url) or "/admin/" in response.url:
            return
        policy = response.headers.get("content-security-policy", "")
        wanted = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        form = f"{wanted}; script-src 'self'; form-action {self.site.redirect_uri.removesuffix('/callback')}"
        password = f"{wanted}; script-src {self.site.url}/static/django_lazyauth/password.js"
        if policy not in (wanted, form, password):
            self.faults.append(f"{response.url}: {policy!r}")

    # -- going on --------------------------------------------------------------------------------------------

    def reach(self, selector: str) -> None:
        """Press Tab until what *selector* says has the focus. It can be seen at each step."""
        for _ in range(MAX_TABS):
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            self.page.keyboard.press("Tab")
            outline, element = self.page.evaluate(FOCUS)
            if outline < 2 and not element.startswith("<body"):
                self.faults.append(f"{self.looked[-1]}: the focus cannot be seen on {element}")
        raise AssertionError(f"the keyboard does not reach {selector} at {self.page.url}")

    def press(self, selector: str) -> None:
        """Reach it, press Enter, and wait for what comes of it."""
        self.reach(selector)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def type(self, **fields: str) -> None:
        for name, value in fields.items():
            self.reach(f"input[name={name}]")
            self.page.keyboard.press("Control+A")
            self.page.keyboard.insert_text(value)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.site.url}{path}")

    def ask(self, client_id: str = "trail-journal", **changes: str) -> None:
        """Follow the link of a client to the authorization endpoint."""
        self.request = self.site.client(client_id)
        self.page.goto(self.request.url(**changes))

    def redeem(self) -> dict[str, str]:
        """Redeem the code that the browser just brought to the client."""
        return self.request.redeem(self.page.url)

    def sign_in_upstream(self) -> None:
        """Press the first button of the upstream, whose pages are not ours, unless it knows the person."""
        if self.page.url.startswith(self.site.upstream_url):
            with self.page.expect_navigation():
                self.page.locator("main button").first.click()

    # -- looking ---------------------------------------------------------------------------------------------

    def look(self, name: str, *, status: int = 200, begins: bool = True) -> None:
        """Look at the page in each width and scheme.

        Args:
            status: What the page was answered with. The console names it if it is an error.
            begins: Whether the focus is where somebody goes on. Not on the page of tabs, where nobody need type.
        """
        self.looked.append(name)
        if status >= 400:
            self.person.excuse_status(status)
        # The page that waits does not go on meanwhile.
        self.page.evaluate("window.stop()")
        with self._scripts_of_the_test():
            self.page.evaluate(SHOWN)
        self._say(name, self._text_faults())
        if begins and (elsewhere := self.page.evaluate(BEGIN)) is not True:
            self._say(name, [f"the focus is on {elsewhere}"])
        with self._scripts_of_the_test():
            self.page.evaluate(axe_core())
            for width in WIDTHS:
                self.page.set_viewport_size({"width": width, "height": 640})
                self._say(f"{name} {width}", overflow_of(self.page))
                for scheme in SCHEMES:
                    self._look_in(name, scheme, width)
            self._look_enlarged(name)
        self.page.set_viewport_size({"width": WIDTHS[0], "height": 640})

    def _look_in(self, name: str, scheme: str, width: int) -> None:
        self.page.emulate_media(color_scheme=scheme)
        found = faults_of(self.page, scheme)
        # All rules once in each width. Only colours differ between the schemes, and they do not between languages.
        if (scheme == SCHEMES[0]) == (width == WIDTHS[0]):
            found += violations_of(self.page)
        elif self.language == COLOURS_IN:
            found += violations_of(self.page, rules=RULES_OF_COLOURS)
        self._say(f"{name} {scheme} {width}", found)
        self._keep_picture(name, scheme, width)

    def _look_enlarged(self, name: str) -> None:
        """WCAG 2.2 §1.4.4: 1280 pixels at 200 % zoom, and the text alone doubled as well."""
        self.page.set_viewport_size({"width": 640, "height": 400})
        # The script of the test sets a property; the page's policy forbids style attributes in HTML only.
        self.page.evaluate("document.documentElement.style.fontSize = '200%'")
        self._say(f"{name} enlarged", overflow_of(self.page))
        self.page.evaluate("document.documentElement.removeAttribute('style')")
        self.page.emulate_media(color_scheme=SCHEMES[0])

    def _text_faults(self) -> list[str]:
        lang, direction = self.page.evaluate(
            "[document.documentElement.lang, getComputedStyle(document.documentElement).direction]"
        )
        wanted = "rtl" if self.language in RIGHT_TO_LEFT else "ltr"
        return [] if (lang, direction) == (self.language, wanted) else [f"it is {lang}, {direction}"]

    def _say(self, where: str, found: list[str]) -> None:
        self.faults += [f"{where}: {fault}" for fault in found]

    def _keep_picture(self, name: str, scheme: str, width: int) -> None:
        kept = (self.language, scheme, width) in KEPT and self.look_of_site == "plain"
        folder = ROOT / "docs" / "images" / "pages" if kept else ROOT / "build" / "walk" / self.look_of_site
        # A narrow page shows all tabs at once.
        if not (width < TABS_FROM and "#" in self.page.url and "?" not in self.page.url):
            file = folder / f"{name}-{self.language}-{scheme}-{width}.png"
            keep_picture(self.page, file, scale=KEPT_SCALE if kept else 1)

    # -- scripts ---------------------------------------------------------------------------------------------

    def allow_scripts(self, allowed: bool) -> None:
        """Say whether the next pages may run scripts."""
        self.may_run_scripts = allowed
        self._devtools.send("Emulation.setScriptExecutionDisabled", {"value": not allowed})

    @contextmanager
    def _scripts_of_the_test(self) -> Iterator[None]:
        """Let axe-core wait for timers. The page's own scripts were passed over when it came, and do not run now."""
        may_run = self.may_run_scripts
        self.allow_scripts(True)
        yield
        self.allow_scripts(may_run)
