"""The pictures on the buttons, as a browser draws them."""

from __future__ import annotations

import pytest

from django_lazyauth.openid.presets import LOGOS, PRESETS

from .person import UPSTREAM, Somebody
from .site import Site

NATURAL = "image => [image.naturalWidth, image.naturalHeight, image.width, image.height]"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1000])
def test_a_button_shows_the_picture_of_its_provider(site: Site, somebody, scheme, width):
    """The policy of the page allows it, and the button is named by its words alone."""
    person: Somebody = somebody(color_scheme=scheme, viewport={"width": width, "height": 900})
    person.open(site.client())
    button = person.button(f"Continue with {UPSTREAM}")
    assert button.locator("img").evaluate(NATURAL) == [24, 24, 24, 24]
    text, image = button.bounding_box(), button.locator("img").bounding_box()
    assert text["x"] < image["x"]
    assert image["y"] + image["height"] < text["y"] + text["height"]
    assert person.page.evaluate("document.documentElement.scrollWidth") <= width
    assert person.button("Continue with E-mail and password").locator("img").count() == 0


def test_every_preset_has_a_picture_that_a_browser_draws(site: Site, person: Somebody):
    person.open(site.client())
    for preset in sorted(PRESETS):
        status = person.page.evaluate(
            """async url => {
                const image = new Image();
                image.src = url;
                await image.decode();
                return [image.naturalWidth, image.naturalHeight];
            }""",
            f"/static/{LOGOS}/{preset}.svg",
        )
        assert status == [24, 24], preset
