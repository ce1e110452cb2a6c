"""Each text of the pages, mails and the admin stands in each language that is shipped."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import include, path
from django.utils.translation.template import templatize

import django_lazyauth

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

PACKAGE = Path(django_lazyauth.__file__).parent
LANGUAGES = sorted(folder.name for folder in (PACKAGE / "locale").iterdir())
MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
IN_TEMPLATE = re.compile(r"""gettext\(u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\b_\(("[^"]*"|'[^']*')""")


def texts_of_code() -> set[str]:
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in MARKS and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


def texts_of_templates() -> set[str]:
    found = set()
    for file in PACKAGE.rglob("templates/**/*.*"):
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
    texts = texts_of_code() | texts_of_templates()
    assert "End these sessions" in texts
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


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_waits_for_somebody_to_look_at_it(language):
    source = (PACKAGE / "locale" / language / "LC_MESSAGES" / "django.po").read_text()
    assert "#, fuzzy" not in source


@pytest.mark.django_db
@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("language", "hint"), [("de", "Sitzung, Client oder"), ("fr", "Session, client, ou")]
)
def test_the_admin_speaks_the_language_of_the_operator(client, language, hint):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    page = client.get("/admin/lazyauth/pendingauthorization/", headers={"accept-language": language})
    assert hint in page.content.decode()
