"""A page is in one language, names it, and is in one that is shipped whole."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest
from django.core import mail
from django.core.checks import run_checks
from django.utils import translation
from django.utils.translation import gettext_lazy

import django_lazyauth
from django_lazyauth.checks import TAG
from django_lazyauth.conf.languages import shipped
from tests.support.journey import come_back, get, make_browser, start, submit

from .site import ask, ask_raw, signed_in, soup_of

pytestmark = pytest.mark.django_db

TRANSLATED = sorted(shipped() - {"en"})
#: Names, which are the same in every language.
NAMES = {"Demo", "Trail Journal", "auth.example", "UTC"}


def catalogue(language: str) -> gettext.GNUTranslations:
    folder = Path(django_lazyauth.__file__).parent / "locale" / translation.to_locale(language)
    with (folder / "LC_MESSAGES" / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def english_in(page: str, language: str) -> list[str]:
    """Return the texts of ours that stand in *page* though the language has another word for them."""
    known = catalogue(language)._catalog
    texts = {text: word for text, word in known.items() if isinstance(text, str) and text and word != text}
    return [piece for piece in page.split("\n") if piece in texts and piece not in NAMES]


def pieces(response) -> str:
    soup = soup_of(response)
    words = [text.strip() for text in soup.find_all(string=True)]
    named = [
        tag[name] for tag in soup.find_all() for name in ("aria-label", "placeholder") if tag.has_attr(name)
    ]
    return "\n".join(re.sub(r"\s+", " ", word) for word in [*words, *named])


@pytest.fixture
def site_with_password(settings):
    password = {"type": "password"}
    providers = {**settings.LAZYAUTH["PROVIDERS"], "password": password}
    settings.LAZYAUTH = {**settings.LAZYAUTH, "PROVIDERS": providers}


def journey(client, language):
    """Yield each page of a new person, in the language that the client asks for."""
    browser = make_browser()
    browser.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    choice = ask(browser, client)
    yield choice
    answer = submit(browser, choice, provider="password")
    where = answer.headers["Location"]
    for step in ("", "?step=change", "?step=register"):
        page = get(browser, where + step)
        yield page
    yield submit(browser, page, email="not an address", password="")
    yield submit(browser, page, email="ada@people.example", password="seven-quiet-otters")
    other = make_browser()
    other.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    yield get(other, come_back(other, start(other, client), subject="ada").headers["Location"])
    yield ask_raw(other, "client_id=nobody")
    yield get(other, "/authorize/00000000-0000-7000-8000-000000000000")


@pytest.mark.usefixtures("site_with_password")
@pytest.mark.parametrize("language", TRANSLATED)
def test_a_page_is_in_one_language_and_names_it(client_, language):
    """Spec 10; WCAG 2.2 §3.1.1."""
    for page in journey(client_, language):
        root = soup_of(page).html
        assert root["lang"] == language
        assert root.get("dir", "ltr") == ("rtl" if language == "ar" else "ltr")
        assert page.headers["Content-Language"] == language
        assert english_in(pieces(page), language) == []
    [sent] = mail.outbox
    assert f'<html lang="{language}"' in sent.alternatives[0].content
    assert english_in(sent.body.replace("\n\n", "\n"), language) == []
    assert "Somebody" not in sent.body


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_account_page_is_in_one_language(client_, language, django_user_model):
    browser = signed_in(django_user_model.objects.create_user("ada", "ada@people.example"))
    browser.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    page = get(browser, "/account/sessions")
    assert soup_of(page).html["lang"] == language
    assert english_in(pieces(page), language) == []


@pytest.mark.parametrize(
    ("accepted", "spoken"),
    [
        ("sv", "en"),
        ("sv, de;q=0.5", "de"),
        ("sv, de;q=0, fr;q=0.1", "fr"),
        ("en-GB", "en"),
        ("pt-PT", "pt-br"),
        ("zh-CN", "zh-hans"),
        ("zh-TW, ja;q=0.5", "ja"),
        ("tlh, *;q=0.5", "en"),
        ("de;q=x, , ;q=1, fr", "en"),
        ("x" * 5000, "en"),
    ],
)
def test_who_reads_none_of_our_languages_gets_the_next_that_they_accept_or_the_sites(
    client_, accepted, spoken
):
    """RFC 9110 §12.5.4. The page never says that it is in a language that nobody translated."""
    browser = make_browser()
    browser.defaults["HTTP_ACCEPT_LANGUAGE"] = accepted
    assert soup_of(ask(browser, client_)).html["lang"] == spoken


def test_the_client_is_asked_first_and_a_language_that_the_site_left_out_is_not_spoken(client_, settings):
    """OpenID Connect Core §3.1.2.1."""
    browser = make_browser()
    browser.defaults["HTTP_ACCEPT_LANGUAGE"] = "fr"
    assert soup_of(ask(browser, client_, ui_locales="tlh ja de")).html["lang"] == "ja"
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    assert soup_of(ask(browser, client_, ui_locales="tlh ja de")).html["lang"] == "de"


def test_the_name_of_a_provider_may_be_translated(client_, settings):
    """Spec 10: ``display_name`` of a provider may be a translatable, for an upstream and for the password."""
    demo = {**settings.LAZYAUTH["PROVIDERS"]["demo"], "display_name": gettext_lazy("Sign in")}
    password = {"type": "password", "display_name": gettext_lazy("Password")}
    upstream = {"issuer": "https://idp.example", "client_id": "x", "display_name": gettext_lazy("Website")}
    providers = {"demo": demo, "password": password, "corp": upstream}
    settings.LAZYAUTH = {**settings.LAZYAUTH, "PROVIDERS": providers}
    assert [m for m in run_checks(tags=[TAG]) if m.id in ("lazyauth.E003", "lazyauth.E008")] == []
    buttons = soup_of(ask(make_browser(), client_, ui_locales="es")).select("button[name=provider]")
    names = [button.get_text(strip=True) for button in buttons]
    assert names == ["Continuar con Iniciar sesión", "Continuar con Contraseña", "Continuar con Sitio web"]
