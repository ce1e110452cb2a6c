"""What :mod:`.test_walk` does not see of the pages: the order of reading, long words, forced colours."""

from __future__ import annotations

import pytest

from .looks import focused, overflow_of, tab_to
from .pages import account_question, choice, consent, password_sign_in
from .person import Somebody
from .site import Site

#: A name and a host that give a line nowhere to break.
LONG_NAME = "Wandertagebuchverwaltungsanwendung" * 2
LONG_URI = "https://a-very-long-host-name-of-a-client.with-many-labels.subdomain.trail-journal.example/cb"

PHONE = {"width": 320, "height": 560}


def test_the_keyboard_goes_through_the_password_page_in_the_order_of_reading(site: Site, person: Somebody):
    """WCAG 2.2 §2.4.3; Enter in the last field sends the form."""
    password_sign_in(person, site.client())
    assert focused(person.page)["name"] == "E-mail or username"
    for name in ("Password", "Show the password", "Sign in", "Register", "Forgot your password?"):
        tab_to(person.page, name, at_most=1)
    person.page.get_by_label("E-mail or username").fill("nobody@mail.example")
    person.page.get_by_label("Password").fill("not-this-one")
    with person.page.expect_navigation():
        person.page.keyboard.press("Enter")
    assert "That did not work" in person.page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("page", [choice, consent, password_sign_in])
def test_long_words_break_on_a_small_phone(site: Site, somebody, long_client, page):
    person = somebody(viewport=PHONE)
    page(person, site.client(long_client, LONG_URI))
    assert LONG_NAME in person.text
    assert overflow_of(person.page) == []


@pytest.mark.parametrize("page", [choice, consent, account_question])
def test_buttons_are_told_apart_in_the_colours_of_the_person(site: Site, somebody, page):
    """CSS Color Adjustment §3: where colours are forced, the first and the dangerous button have another edge."""
    person = somebody(forced_colors="active", reduced_motion="reduce")
    page(person, site.client())
    edges = person.page.evaluate(
        """() => [...document.querySelectorAll("main button, main a.lazyauth-button")].map((e) => {
             const style = getComputedStyle(e);
             const kind = ["lazyauth-primary", "lazyauth-danger"].find((name) => e.classList.contains(name)) ?? "";
             return [kind, style.borderTopStyle + style.borderTopWidth];
           })"""
    )
    plain = {edge for kind, edge in edges if not kind}
    assert not plain & {edge for kind, edge in edges if kind}


@pytest.fixture(scope="module")
def long_client(_running_site: Site) -> str:
    _running_site.register("long", name=LONG_NAME, redirect_uri=LONG_URI)
    return "long"
