"""Each text of the pages, mails and the admin stands in each language that is shipped."""

from __future__ import annotations

import ast
import gettext
import re
from functools import cache
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import (
    CommonPasswordValidator,
    MinimumLengthValidator,
    NumericPasswordValidator,
)
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.forms import CharField
from django.urls import include, path
from django.utils import translation
from django.utils.translation.template import templatize

import django_lazyauth
from django_lazyauth.conf.languages import shipped

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

PACKAGE = Path(django_lazyauth.__file__).parent
LANGUAGES = sorted(folder.name for folder in (PACKAGE / "locale").iterdir())
#: The admin speaks these and English. The pages and mails speak all.
OF_THE_ADMIN = {"de", "fr"}
#: Whose texts only operators read.
ADMIN = ("admin", "apps.py", "checks", "management", "migrations", "models", "testing")
MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
IN_TEMPLATE = re.compile(r"""gettext\(u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\b_\(("[^"]*"|'[^']*')""")


def is_of_a_page(file: Path) -> bool:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0] not in ADMIN and "admin" not in relative.parts


@cache
def texts_of_code(*, pages_only: bool = False) -> set[str]:
    found = set()
    for file in PACKAGE.rglob("*.py"):
        if pages_only and not is_of_a_page(file):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in MARKS and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


@cache
def texts_of_templates(*, pages_only: bool = False) -> set[str]:
    found = set()
    for file in PACKAGE.rglob("templates/**/*.*"):
        if pages_only and not is_of_a_page(file):
            continue
        for first, second in IN_TEMPLATE.findall(templatize(file.read_text())):
            found.add(ast.literal_eval(first or second))
    return found


class Missing(gettext.NullTranslations):
    """What a catalogue asks for a text that it does not have."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def gettext(self, message):
        self.texts.append(message)
        return message

    def ngettext(self, msgid1, msgid2, n):
        return self.gettext(msgid1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language):
    pages_only = language not in OF_THE_ADMIN
    texts = texts_of_code(pages_only=pages_only) | texts_of_templates(pages_only=pages_only)
    assert "Sign in" in texts
    missing = Missing()
    with (PACKAGE / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    catalogue.add_fallback(missing)
    for text in texts:
        catalogue.gettext(text)
        catalogue.ngettext(text, text, 2)
    # A text has one form, or forms for one and many.
    assert {text for text in texts if missing.texts.count(text) == 2} == set()


def test_the_languages_are_those_of_the_specification():
    """Spec 10."""
    assert {"en", *(name.replace("_", "-").lower() for name in LANGUAGES)} == {
        *("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt-br", "zh-hans")
    }
    assert shipped() == {"en", *(name.replace("_", "-").lower() for name in LANGUAGES)}


#: What must be the same in a text and its translation.
FIXED = re.compile(r"%\(\w+\)[sd]|%s|\{\w+\}|</?\w+>")
ENTRY = re.compile(
    r'^msgid ((?:".*"\n)+)(?:msgid_plural ((?:".*"\n)+))?((?:msgstr(?:\[\d\])? (?:".*"\n)+)+)', re.MULTILINE
)


@cache
def entries(language: str) -> list[tuple[str, list[str]]]:
    """Return each text of the source of a catalogue with its translations."""
    source = (PACKAGE / "locale" / language / "LC_MESSAGES" / "django.po").read_text() + "\n"
    found = []
    for text, _plural, forms in ENTRY.findall(source):
        several = re.split(r"^msgstr(?:\[\d\])? ", forms, flags=re.MULTILINE)[1:]
        found.append((unquoted(text), [unquoted(form) for form in several]))
    return found


def unquoted(lines: str) -> str:
    return "".join(ast.literal_eval(line) for line in lines.strip().split("\n"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_names_what_its_text_names(language):
    """A missing placeholder leaves a hole, an unknown one is an error, and a missing tag breaks the page."""
    for text, forms in entries(language):
        if text:
            for form in forms:
                assert sorted(FIXED.findall(form)) == sorted(FIXED.findall(text)), (text, form)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language):
    with (PACKAGE / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    counted = {text for text, forms in entries(language) if len(forms) > 1}
    for text, forms in entries(language):
        if text and len(forms) == 1 and text not in counted:
            assert compiled.gettext(text) in (forms[0], text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_waits_for_somebody_to_look_at_it(language):
    source = (PACKAGE / "locale" / language / "LC_MESSAGES" / "django.po").read_text()
    assert "#, fuzzy" not in source


@pytest.mark.django_db
@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("language", "hint"), [("de", "E-Mail-Adresse, Benutzername"), ("fr", "Adresse e-mail, nom")]
)
def test_the_admin_speaks_the_language_of_the_operator(client, language, hint):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    page = client.get("/admin/lazyauth/pendingauthorization/", headers={"accept-language": language})
    assert hint in page.content.decode()


def refusals() -> list[str]:
    """Return what Django's own checks say of a password and of empty or wrong fields."""
    found = []
    for check, value in (
        (MinimumLengthValidator().validate, "x"),
        (CommonPasswordValidator().validate, "password"),
        (NumericPasswordValidator().validate, "12345"),
        (CharField().clean, ""),
        (CharField(max_length=1).clean, "xx"),
        (EmailValidator(), "x"),
    ):
        with pytest.raises(ValidationError) as refused:
            check(value)
        found += refused.value.messages
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_django_says_on_our_pages_is_translated_too(language):
    """Spec 10: no page mixes languages. Some of Django's catalogues lack a text, and ours has it then."""
    with translation.override("en"):
        english = refusals()
    with translation.override(translation.to_language(language)):
        assert [text for text in refusals() if text in english] == []
