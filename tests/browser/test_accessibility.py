"""The pages for everybody: by keyboard, without scripts, in both colour schemes, on small and enlarged screens."""

from __future__ import annotations

import pytest

from .looks import faults_of, focused, overflow_of, tab_to
from .pages import PAGES, choice, consent, password_sign_in
from .person import ADA, UPSTREAM, Somebody
from .site import Site

#: A name and a host that give a line nowhere to break.
LONG_NAME = "Wandertagebuchverwaltungsanwendung" * 2
LONG_URI = "https://a-very-long-host-name-of-a-client.with-many-labels.subdomain.trail-journal.example/cb"

PHONE = {"width": 320, "height": 560}
SCHEMES = ("light", "dark")


def check_both_schemes(person: Somebody) -> None:
    for scheme in SCHEMES:
        person.page.emulate_media(color_scheme=scheme)
        assert faults_of(person.page) == [], scheme
        background = person.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, background[4:-1].split(","))) < 200) == (scheme == "dark"), background


@pytest.mark.parametrize("name", PAGES)
def test_structure_names_and_contrast_in_light_and_dark(site: Site, person: Somebody, name):
    """WCAG 2.2 §1.3.1, §1.4.3, §1.4.11, §3.1.1, §3.3.2, §4.1.2."""
    PAGES[name](person, site.client())
    check_both_schemes(person)


@pytest.mark.usefixtures("unverified")
@pytest.mark.parametrize("page", [choice, consent])
def test_contrast_where_the_client_is_unverified(site: Site, person: Somebody, page):
    page(person, site.client())
    assert "unverified" in person.text
    check_both_schemes(person)


def test_the_keyboard_is_enough(site: Site, person: Somebody):
    """WCAG 2.2 §2.1.1, §2.4.7: from the choice to the client with Tab and Enter."""
    client = site.client()
    person.open(client)
    tab_to(person.page, f"Continue with {UPSTREAM}")
    with person.page.expect_navigation():
        person.page.keyboard.press("Enter")
    person.sign_in_upstream(ADA)
    tab_to(person.page, "Allow")
    with person.page.expect_navigation():
        person.page.keyboard.press("Enter")
    assert "code" in client.answer(person.page.url)


def test_the_keyboard_goes_through_the_password_page_in_the_order_of_reading(site: Site, person: Somebody):
    """WCAG 2.2 §2.4.3; Enter in the last field sends the form."""
    password_sign_in(person, site.client())
    assert focused(person.page)["name"] == "E-mail or username"
    for name in ("Password", "Sign in", "Register", "Change or replace a password"):
        tab_to(person.page, name, at_most=1)
    person.page.get_by_label("E-mail or username").fill("nobody@mail.example")
    person.page.get_by_label("Password").fill("not-this-one")
    with person.page.expect_navigation():
        person.page.keyboard.press("Enter")
    assert "do not belong together" in person.page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("page", [choice, consent, password_sign_in])
def test_long_words_break_on_a_small_phone(site: Site, somebody, long_client, page):
    person = somebody(viewport=PHONE)
    page(person, site.client(long_client, LONG_URI))
    assert LONG_NAME in person.text
    assert overflow_of(person.page) == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_on_a_small_phone_or_at_twice_the_size(site: Site, somebody, name):
    """WCAG 2.2 §1.4.10, §1.4.4: 320 pixels; 1280 pixels at 200 % zoom, then the text alone doubled as well."""
    person = somebody(viewport=PHONE, device_scale_factor=2)
    PAGES[name](person, site.client())
    assert overflow_of(person.page) == []
    person.page.set_viewport_size({"width": 640, "height": 400})
    assert overflow_of(person.page) == []
    # The script of the test sets a property; the page's policy forbids style attributes in HTML only.
    person.page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert overflow_of(person.page) == []
    top = person.page.evaluate("document.querySelector('main').getBoundingClientRect().top + scrollY")
    assert top >= 0, "the top of the card cannot be scrolled to"


@pytest.mark.parametrize("name", PAGES)
def test_an_alert_has_the_focus_and_where_there_is_none_the_first_field_has_it(site: Site, person, name):
    """Spec 10; WCAG 2.2 §3.3.1: without a script, by the page's own marks."""
    PAGES[name](person, site.client())
    alert = person.page.locator("[role=alert]").first
    field = person.page.locator("main input:not([type=hidden])").first
    wanted = alert if alert.count() else field
    if wanted.count():
        assert wanted.evaluate("element => element === document.activeElement")


@pytest.mark.parametrize("name", ["choice", "consent", "account-question"])
def test_buttons_are_told_apart_in_the_colours_of_the_person(site: Site, somebody, name):
    """CSS Color Adjustment §3: where colours are forced, the first and the dangerous button have another edge."""
    person = somebody(forced_colors="active", reduced_motion="reduce")
    PAGES[name](person, site.client())
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


@pytest.mark.parametrize("name", PAGES)
def test_every_page_works_without_scripts(site: Site, somebody, name):
    """And its policy forbids them: whatever a browser complains about ends this test."""
    person = somebody(java_script_enabled=False)
    PAGES[name](person, site.client())
    policy = person.page.request.get(site.client().url(prompt="login")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
