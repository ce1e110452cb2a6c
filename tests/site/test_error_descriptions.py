"""What a client reads of an error stays in the alphabet of RFC 6749 §5.2, whoever wrote it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import django_lazyauth
from django_lazyauth import errors
from django_lazyauth.authorize.request import AuthorizationRefused

PACKAGE = Path(django_lazyauth.__file__).parent
NAMES = {
    name
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, (errors.OAuthError, errors.RegistrationRefused))
} | {AuthorizationRefused.__name__}


def texts_of_errors():
    """Yield place and text of each literal that is handed to an error."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMES:
                for part in (each for arg in node.args for each in ast.walk(arg)):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield f"{path.relative_to(PACKAGE)}:{part.lineno}", part.value


def test_our_own_texts_need_no_replacement():
    found = list(texts_of_errors())
    assert len(found) > 100
    assert [(place, text) for place, text in found if errors.sayable(text) != text] == []


@pytest.mark.parametrize(
    "refused", [errors.InvalidGrant, lambda text: AuthorizationRefused("invalid_request", text)]
)
def test_a_text_of_a_host_is_brought_into_the_alphabet(refused):
    assert refused('Zu "jung": §2 \\ \u2192\n').description == "Zu 'jung': ?2 ? ??"
