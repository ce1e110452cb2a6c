"""A person takes their data along, and deletes their account.

Both need a sign-in of the last ten minutes: an open browser is not enough. What is held, and how it ends, says
:mod:`django_lazyauth.sessions.person`.
"""

from __future__ import annotations

import unicodedata

from django.contrib.auth import logout
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from django_lazyauth.sessions import person
from django_lazyauth.sign_in import identities

from ..client_card import HIDDEN_CATEGORIES, name_of_user
from ..page import account_url, guard, show


def export(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
    """Return everything that is held about *user* as a file.

    Raises:
        ReauthenticationRequired: The sign-in of this browser is too old.
    """
    identities.require_fresh(request)
    response = JsonResponse(
        person.export_person(user), json_dumps_params={"indent": 2, "ensure_ascii": False}
    )
    response.headers["Content-Disposition"] = 'attachment; filename="account.json"'
    return guard(response)


def delete(request: HttpRequest, user: AbstractBaseUser, *, form_token: str) -> HttpResponse:
    """Ask for the name of the account, then delete it and everything of it (I21).

    Raises:
        ReauthenticationRequired: The sign-in of this browser is too old.
        PersonKept: The site has rows that need the user. Nothing was changed.
    """
    identities.require_fresh(request)
    name = name_of_user(user)
    typed = request.POST.get("typed")
    if typed is None or _folded(typed) != _folded(name):
        context = {
            "account": name,
            "typed": typed or "",
            "is_wrong": typed is not None,
            "post_url": reverse("lazyauth:account"),
            "back_url": account_url(section="data"),
            "form_token": form_token,
        }
        return show(request, "django_lazyauth/account_delete.html", context)
    erased = person.erase_person(user)
    logout(request)
    return show(request, "django_lazyauth/account_deleted.html", {"account": name, "erased": erased})


def _folded(text: str) -> str:
    """Return *text* as somebody can read and type it: a page shows neither invisible characters nor two blanks."""
    known = " ".join(unicodedata.normalize("NFKC", text).split())
    return "".join(
        letter for letter in known if unicodedata.category(letter) not in HIDDEN_CATEGORIES
    ).casefold()
