"""Where one signs in: the site's name, logo, links and colours on each page, under a strict policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.utils.translation import gettext_lazy

import django_lazyauth
from django_lazyauth.checks import TAG
from django_lazyauth.conf import contrast
from django_lazyauth.conf.pages import DARK_GROUND, LIGHT_GROUND
from tests.support.journey import get, make_browser

from .site import ask, ask_raw, assert_error_page, soup_of

pytestmark = pytest.mark.django_db

BRAND = {
    "name": "Trail Club",
    "logo": "django_lazyauth/icon.svg",
    "support_url": "mailto:help@trail.example",
    "terms_url": "https://trail.example/terms",
    "privacy_url": "https://trail.example/privacy",
    "accent": "#0b6b50",
    "accent_dark": "#7fdcbd",
}
STYLE = Path(django_lazyauth.__file__).parent / "static" / "django_lazyauth" / "style.css"


@pytest.fixture
def brand(settings):
    def give(**rows):
        settings.LAZYAUTH = {**settings.LAZYAUTH, "BRAND": rows}

    return give


def test_without_a_brand_a_page_names_the_issuers_host(client_):
    soup = soup_of(ask(make_browser(), client_))
    assert soup.header.get_text(strip=True) == "auth.example"
    assert soup.footer is None
    assert len(soup.find_all("link", rel="stylesheet")) == 1


def test_a_page_says_where_one_signs_in(client_, brand):
    """Spec 10: name, logo, support, terms, privacy."""
    brand(**BRAND)
    soup = soup_of(ask(make_browser(), client_))
    assert soup.header.get_text(strip=True) == "Trail Club"
    assert soup.header.img["src"].endswith("django_lazyauth/icon.svg")
    assert [link["href"] for link in soup.footer.find_all("a")] == [
        BRAND["support_url"],
        BRAND["terms_url"],
        BRAND["privacy_url"],
    ]
    assert soup.title.get_text(strip=True).endswith("Trail Club")


def test_the_name_may_be_translated(client_, brand):
    brand(name=gettext_lazy("Sign in"))
    page = get(make_browser(), f"/authorize?{client_.authorize_query(ui_locales='de')}")
    assert soup_of(page).header.get_text(strip=True) == "Anmelden"


def test_the_colours_are_a_stylesheet_of_ours_and_no_inline_style(client_, brand):
    """CSP Level 3: ``style-src 'self'`` and nothing that allows inline styles."""
    brand(**BRAND)
    browser = make_browser()
    page = ask(browser, client_)
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "style-src 'self';" in page.headers["Content-Security-Policy"]
    css = get(browser, soup_of(page).find_all("link", rel="stylesheet")[1]["href"])
    assert css.headers["Content-Type"].startswith("text/css")
    assert "immutable" not in css.headers["Cache-Control"]
    assert css.headers["Cache-Control"].startswith("public, max-age=")
    assert "--lazyauth-accent:#0b6b50" in css.content.decode()
    assert not css.cookies


def test_other_colours_have_another_address(client_, brand):
    found = set()
    for accent in ("#0b6b50", "#2556c4"):
        brand(accent=accent)
        found.add(soup_of(ask(make_browser(), client_)).find_all("link", rel="stylesheet")[1]["href"])
    assert len(found) == 2


def test_a_light_accent_alone_leaves_dark_pages_as_they_are(brand):
    brand(accent="#0b6b50")
    assert get(make_browser(), "/brand.css").content.startswith(
        b"@media not all and (prefers-color-scheme:dark)"
    )


@pytest.mark.parametrize("accent", ["#0b6b50", "#7a4100", "#000000"])
def test_text_on_a_button_can_be_read_whatever_the_accent(brand, accent):
    """WCAG 2.2 §1.4.3."""
    brand(accent=accent)
    css = get(make_browser(), "/brand.css").content.decode()
    found = dict(re.findall(r"--lazyauth-([a-z-]+):(#\w+)", css))
    assert contrast(found["accent"], found["on-accent"]) >= 4.5
    assert contrast(found["accent-strong"], found["on-accent"]) >= 4.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"accent": "#ffff00"},
        {"accent": "red"},
        {"accent": "#000;} *{display:none"},
        {"accent_dark": "#101010"},
        {"logo": "http://other.example/x.svg"},
        {"logo": "https://other.example;script-src *"},
        {"logo": "https://*/logo.svg"},
        {"support_url": "javascript:alert(1)"},
        {"terms_url": "/terms"},
        {"nmae": "Trail"},
        "Trail Club",
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_refused_by_the_checks(settings, wrong):
    settings.LAZYAUTH = {**settings.LAZYAUTH, "BRAND": wrong}
    found = [message for message in run_checks(tags=[TAG]) if message.id == "lazyauth.E003"]
    assert len(found) == 1
    assert 'LAZYAUTH["BRAND"]' in found[0].msg


def test_a_logo_elsewhere_is_allowed_by_the_policy_and_nothing_else_of_that_host(client_, brand):
    brand(logo="https://pictures.trail.example/logo.svg")
    policy = ask(make_browser(), client_).headers["Content-Security-Policy"]
    assert "img-src 'self' https://pictures.trail.example;" in policy
    assert "style-src 'self';" in policy


def test_a_missing_logo_keeps_nobody_from_signing_in(client_, brand, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "tests.web.test_brand.KnowsNothing"},
    }
    brand(logo="trail/logo.svg")
    assert soup_of(ask(make_browser(), client_)).header.img is None


class KnowsNothing:
    def url(self, name):
        if name.startswith("trail/"):
            raise ValueError("no entry in the manifest")
        return f"/static/{name}"


def test_an_error_page_links_to_the_support(brand):
    brand(support_url="https://trail.example/help")
    page = ask_raw(make_browser(), "client_id=nobody")
    assert soup_of(page).main.find("a")["href"] == "https://trail.example/help"


def test_the_grounds_that_a_colour_is_measured_by_are_those_of_the_stylesheet():
    css = STYLE.read_text()
    assert f"--lazyauth-back: {LIGHT_GROUND};" in css
    assert f"--lazyauth-raised: {DARK_GROUND};" in css


def test_the_stylesheet_is_small_and_names_no_side():
    """Spec 10: at most 15 KB. Right to left works where no rule says left or right."""
    css = STYLE.read_text()
    assert len(css.encode()) <= 15 * 1024
    sides = r"(?:margin|padding|border|inset)-(?:left|right)|[\s;{](?:left|right):|text-align: (?:left|right)"
    assert not re.findall(sides, css)


def test_an_error_page_and_its_line_have_one_reference(caplog):
    """Spec 10: a person who writes to the operator names the line."""
    with caplog.at_level("INFO", logger="django_lazyauth.pages"):
        page = ask_raw(make_browser(), "client_id=nobody")
    assert_error_page(page)
    [line] = [record for record in caplog.records if record.name == "django_lazyauth.pages"]
    assert line.reference in soup_of(page).main.get_text()
    assert "kind=set_up_wrongly" in line.getMessage()
    assert "nobody" not in line.getMessage()
