"""A site with a look of its own: the same pages under the same policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from example_project.servers import Stage

from . import client as client_module
from .looks import faults_of, overflow_of
from .pages import PAGES
from .person import Somebody
from .site import Site

NAMES = ("choice", "consent", "password-sign-in", "error", "account")


@pytest.fixture(scope="module")
def themed(chromium, tmp_path_factory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("themed")
    settings = {"DJANGO_SETTINGS_MODULE": "example_project.settings_themed"}
    with client_module.listener() as redirect_uri, Stage(directory, site_settings=settings) as stage:
        site = Site(stage, redirect_uri)
        site.register("trail-journal")
        yield site


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_a_theme_breaks_neither_the_policy_nor_the_contrast(themed: Site, somebody, name, scheme):
    """CSP Level 3: a complaint of the browser ends this test. WCAG 2.2 §1.4.3, §1.4.10."""
    themed.forget_everybody()
    person: Somebody = somebody(color_scheme=scheme, viewport={"width": 320, "height": 560})
    PAGES[name](person, themed.client())
    assert "Trail Club" in person.page.get_by_role("banner").inner_text()
    assert person.page.get_by_role("contentinfo").get_by_role("link").count() == 3
    assert person.page.locator("header img").evaluate("image => image.naturalWidth") > 0
    assert faults_of(person.page) == overflow_of(person.page) == []
    accent = person.page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--lazyauth-accent')"
    )
    assert accent == ("#0b6b50" if scheme == "light" else "#7fdcbd")


def test_a_page_makes_at_most_five_requests(themed: Site, person: Somebody):
    """Spec 10. The pictures of providers that the site names come on top: one of the example."""
    person.open(themed.client())
    wanted = [url for url in person.visited if "upstream.svg" not in url and "sign-in.css" not in url]
    assert len(wanted) <= 5, wanted
