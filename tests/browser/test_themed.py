"""A site with a look of its own: the same pages under the same policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import walked_site
from .person import Somebody
from .site import Site

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def themed(chromium, tmp_path_factory) -> Iterator[Site]:
    with walked_site.running(tmp_path_factory.mktemp("themed"), WALKED_THEMED="1") as site:
        yield site


def test_a_theme_takes_nothing_away(themed: Site, somebody):
    """Spec 10: another base page, colours, a logo, and pages that begin with one field."""
    walked_site.go_all_the_way(themed, somebody(locale="en"), "en", look="themed")


@pytest.mark.parametrize(("scheme", "wanted"), [("light", "#0b6b50"), ("dark", "#7fdcbd")])
def test_a_theme_is_on_the_page(themed: Site, somebody, scheme, wanted):
    person: Somebody = somebody(color_scheme=scheme)
    person.open(themed.client())
    assert "Trail Club" in person.page.get_by_role("banner").inner_text()
    assert person.page.get_by_role("contentinfo").get_by_role("link").count() == 3
    assert person.page.locator("header img").evaluate("image => image.naturalWidth") > 0
    accent = "getComputedStyle(document.documentElement).getPropertyValue('--lazyauth-accent')"
    assert person.page.evaluate(accent) == wanted


def test_a_page_makes_at_most_five_requests(themed: Site, person: Somebody):
    """Spec 10. The pictures of providers that the site names come on top: one of the example."""
    person.open(themed.client())
    wanted = [url for url in person.visited if "upstream.svg" not in url and "sign-in.css" not in url]
    assert len(wanted) <= 5, wanted
