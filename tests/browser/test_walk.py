"""Every page, by keyboard alone, in four languages, both colour schemes, and the widths of a phone and a desk.

A walk collects what is wrong and ends with it, so that one run names everything. ``LAZYAUTH_TEST_SCREENSHOTS=1`` keeps
a picture of each page: those of ``docs/images/pages``, and the others in ``build/walk``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import walked_site
from .looks import axe_core, violations_of
from .person import Somebody
from .site import Site
from .walker import ROOT, keep_picture

#: One walk of sixty pages, and the start of its site, on a machine that does other things too.
pytestmark = pytest.mark.timeout(1200)
#: Each language, and whether its browser runs scripts.
LANGUAGES = {"en": True, "de": False, "ja": True, "ar": False}


FOLDER = ROOT / "build" / "walk" / "admin"


@pytest.fixture(scope="module")
def plain(chromium, tmp_path_factory) -> Iterator[Site]:
    with walked_site.running(tmp_path_factory.mktemp("plain")) as site:
        yield site


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_can_be_read_and_used(plain: Site, somebody, language):
    """Spec 10; WCAG 2.2 AA; CSP Level 3: a complaint of the browser ends this test too."""
    walked_site.go_all_the_way(plain, somebody(locale=language), language, scripts=LANGUAGES[language])


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_first_pages_of_operators_can_be_read(plain: Site, somebody, language):
    """Spec 10; WCAG 2.2 AA: what of them is ours. Around it, and with its search, Django's admin stands as it is."""
    person: Somebody = somebody(locale=language)
    plain.execute("DELETE FROM auth_user WHERE username = 'operator'")
    person.sign_in_as_operator(plain)
    faults: list[str] = []
    for width, scheme in ((1280, "light"), (320, "dark")):
        person.page.set_viewport_size({"width": width, "height": 640})
        # Before the page comes: the admin goes over from one scheme to the other slowly.
        person.page.emulate_media(color_scheme=scheme)
        for name in ("overview", "pendingauthorization"):
            person.page.goto(f"{plain.url}/admin/lazyauth/{name}/")
            assert person.page.evaluate("document.documentElement.lang") == language
            person.page.evaluate(axe_core())
            found = violations_of(person.page, {"include": "#content", "exclude": "#changelist-search"})
            faults += [f"{name} {scheme} {width}: {fault}" for fault in found]
            keep_picture(person.page, FOLDER / f"{name}-{language}-{scheme}-{width}.png")
    assert faults == []
