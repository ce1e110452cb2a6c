"""The pictures of the README: pages of the running example site, in ``docs/images``.

Taken where one is missing, and anew with ``LAZYAUTH_TEST_SCREENSHOTS=1``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from . import pages
from .client import OAuthClient
from .person import Somebody
from .site import Site

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
#: CSS pixels around the card.
MARGIN = 32
MAX_BYTES = 150_000
#: A client with a name of its own: nobody goes there, the pages only show it.
CLIENT_ID, REDIRECT_URI = "pictured", "https://trail-journal.example/signed-in"

PICTURES: dict[str, Callable[[Somebody, OAuthClient], None]] = {
    "choice": pages.choice,
    "consent": pages.consent,
    "password-sign-in": pages.password_sign_in,
    "password-register": pages.password_register,
    "password-code": partial(pages.password_code, email="ada@mail.example"),
    "error": pages.error,
}


@pytest.fixture(scope="module")
def _pictured_client(_running_site: Site) -> None:
    _running_site.register(CLIENT_ID, redirect_uri=REDIRECT_URI)


@pytest.mark.usefixtures("_pictured_client")
@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_there(site: Site, somebody, tmp_path: Path, name: str):
    kept = IMAGES / f"{name}.png"
    wanted = not kept.exists() or os.environ.get("LAZYAUTH_TEST_SCREENSHOTS") == "1"
    picture = take(site, somebody, name, kept if wanted else tmp_path / kept.name)
    assert picture.stat().st_size < MAX_BYTES
    assert kept.stat().st_size < MAX_BYTES


def take(site: Site, somebody, name: str, file: Path, **options: object) -> Path:
    """Photograph the card of a page and what stands above it, at twice the device pixels."""
    viewport = {"width": 800, "height": 1000}
    person: Somebody = somebody(viewport=viewport, device_scale_factor=2, **options)
    PICTURES[name](person, site.client(CLIENT_ID, REDIRECT_URI))
    header = person.page.locator("header").bounding_box()
    card = person.page.locator("main").bounding_box()
    assert header is not None
    assert card is not None
    clip = {
        "x": card["x"] - MARGIN,
        "y": header["y"] - MARGIN,
        "width": card["width"] + 2 * MARGIN,
        "height": card["y"] - header["y"] + card["height"] + 2 * MARGIN,
    }
    person.page.mouse.move(0, 0)
    file.parent.mkdir(parents=True, exist_ok=True)
    person.page.screenshot(path=file, clip=clip, full_page=True, animations="disabled", caret="hide")
    return file
