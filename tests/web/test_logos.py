"""The picture on the button of a provider: an entry's own, that of its preset, or none."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from django.contrib.staticfiles import finders
from django.templatetags.static import static

from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.openid.presets import LOGOS, PRESETS
from django_lazyauth.providers.registry import get_provider
from tests.support.journey import make_browser
from tests.web.site import ask

pytestmark = pytest.mark.django_db
CLIENT = {"client_id": "us", "client_secret": "s" * 40}


@pytest.fixture
def pictures(client_, lazyauth):
    """Configure providers and return the picture of each button of the choice page."""

    def of(**providers):
        lazyauth(PROVIDERS=providers)
        page = BeautifulSoup(ask(make_browser(), client_).content, "html.parser")
        buttons = page.find_all("button", {"name": "provider"})
        return {one["value"]: [image["src"] for image in one.find_all("img")] for one in buttons}

    return of


def test_a_button_has_the_picture_of_the_entry_or_the_preset(pictures):
    found = pictures(
        google={"preset": "google", **CLIENT},
        work={"preset": "google", **CLIENT, "logo": "corp/logo.svg"},
        plain={"preset": "google", **CLIENT, "logo": ""},
        corp={"issuer": "https://id.corp.example", **CLIENT},
    )
    assert found == {
        "google": ["/static/django_lazyauth/logos/google.svg"],
        "work": ["/static/corp/logo.svg"],
        "plain": [],
        "corp": [],
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
    file = finders.find(f"{LOGOS}/{preset}.svg")
    with open(file) as picture:
        svg = picture.read()
    assert len(svg) < 1500
    # Nothing in it is fetched, run or styled.
    assert [word for word in ("href", "style", "script", "url(", "<!") if word in svg] == []
