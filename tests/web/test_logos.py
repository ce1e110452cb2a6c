"""The picture on the button of a provider: an entry's own, that of its preset, or none."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from django.contrib.staticfiles import finders
from django.templatetags.static import static

from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.openid.presets import LOGOS, PRESETS
from django_lazyauth.providers.registry import get_provider
from tests.openid.test_presets import WITHOUT_ISSUER
from tests.support.journey import make_browser
from tests.web.site import ask

pytestmark = pytest.mark.django_db
CLIENT = {"client_id": "us", "client_secret": "s" * 40}


def shown(picture):
    """Return the file of an ``img``, the preset whose drawing stands in the page, or that no brand is shown."""
    if picture.name == "img":
        return picture["src"]
    assert (picture["aria-hidden"], picture["focusable"]) == ("true", "false")
    del picture["aria-hidden"], picture["focusable"]
    paths = [path.get("d") for path in picture.find_all("path")]
    brands = (
        name
        for name in PRESETS
        if [path.get("d") for path in BeautifulSoup(file_of(name), "html.parser").find_all("path")] == paths
    )
    return next(brands, "neutral")


def file_of(preset):
    with open(finders.find(f"{LOGOS}/{preset}.svg")) as picture:
        return picture.read()


@pytest.fixture
def pictures(client_, lazyauth):
    """Configure providers and return the picture of each button of the choice page."""

    def of(**providers):
        lazyauth(PROVIDERS=providers)
        page = BeautifulSoup(ask(make_browser(), client_).content, "html.parser")
        buttons = page.find_all("button", {"name": "provider"})
        return {one["value"]: [shown(picture) for picture in one.find_all(["img", "svg"])] for one in buttons}

    return of


def test_a_button_has_the_picture_of_the_entry_or_the_preset(pictures):
    found = pictures(
        google={"preset": "google", **CLIENT},
        work={"preset": "google", **CLIENT, "logo": "corp/logo.svg"},
        plain={"preset": "google", **CLIENT, "logo": ""},
        corp={"issuer": "https://id.corp.example", **CLIENT},
    )
    assert found == {
        "google": ["google"],
        "work": ["/static/corp/logo.svg"],
        "plain": ["neutral"],
        "corp": ["neutral"],
    }


def test_a_file_that_the_storage_does_not_know_keeps_nobody_out(settings, lazyauth, tmp_path):
    """A storage with a manifest raises for it, and each page with the button would be an error 500."""
    manifest = {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    settings.STATIC_ROOT, settings.DEBUG = tmp_path, False
    settings.STORAGES = {**settings.STORAGES, "staticfiles": manifest}
    lazyauth(PROVIDERS={"work": {"issuer": "https://id.corp.example", **CLIENT, "logo": "corp/missing.svg"}})
    with pytest.raises(ValueError, match="manifest"):
        static("corp/missing.svg")
    assert get_provider("work").logo == ""


@pytest.mark.parametrize(
    "path", ["../x.svg", "/x.svg", "https://cdn.example/x.svg", "a b.svg", 7, "x.svg?a", "a/../b"]
)
def test_a_path_that_is_none_is_named(path):
    with pytest.raises(DescriptorError, match='"logo"'):
        descriptor_from_settings("it", {"issuer": "https://id.example", **CLIENT, "logo": path})


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_has_a_small_picture(preset):
    svg = file_of(preset)
    assert len(svg) < 1500
    assert svg.startswith("<svg ")
    # Nothing in it is fetched, run or styled, and two of one page share no name.
    assert [word for word in ("href", "style", "script", "url(", "<!", " id=", " on") if word in svg] == []


def test_a_page_with_every_preset_asks_for_as_many_files_as_one_with_none(client_, lazyauth):
    """A person on a slow line waits for no picture, and the policy of the page stays."""

    def asked(**providers):
        lazyauth(PROVIDERS=providers)
        page = ask(make_browser(), client_)
        soup = BeautifulSoup(page.content, "html.parser")
        files = [tag.get("src") or tag.get("href") for tag in soup.find_all(["img", "link", "script", "use"])]
        assert soup.find_all(style=True) == []
        return files, page.headers["Content-Security-Policy"], len(soup.find_all("svg")), len(page.content)

    corp = {"issuer": "https://id.corp.example", **CLIENT}
    files, policy, neutral, _ = asked(corp=corp, work=corp)
    many = {
        name: {
            "preset": name,
            **CLIENT,
            **({"issuer": "https://id.corp.example"} if name in WITHOUT_ISSUER else {}),
        }
        for name in PRESETS
    }
    found, same, drawn, size = asked(**many)
    assert (found, same) == (files, policy)
    # Also who has no mark of its own has one, so that the names of all stand in line.
    assert (neutral, drawn) == (2, len(PRESETS))
    assert size < 40_000
