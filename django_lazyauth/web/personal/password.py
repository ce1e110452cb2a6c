"""The page on which a person who is signed in changes their password."""

from __future__ import annotations

import math

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.providers.password import PERSON_FAILURES
from django_lazyauth.providers.password_forms import SCRIPT, OwnPasswordForm
from django_lazyauth.sign_in import identities
from django_lazyauth.sign_in.own import password

from ..page import account_url, show


@sensitive_variables()
def change(request: HttpRequest, user: AbstractBaseUser, *, form_token: str) -> HttpResponse | str:
    """Show the form, or take it. A sign-in of the last ten minutes stands for the current password."""
    if not (password.provider_name() and password.has_one(user)):
        return "gone"
    needs_current = not identities.is_fresh(request)
    given = request.POST if "password" in request.POST else None
    form = OwnPasswordForm(given, user=user, needs_current=needs_current)
    if form.is_valid() and (not needs_current or _is_right(request, user, form)):
        try:
            password.change(request, user, form.cleaned_data["password"])
        except password.ChangedMeanwhile:
            return "again"
        return "password_changed"
    context = {
        "form": form,
        "post_url": reverse("lazyauth:account"),
        "back_url": account_url(section="ways"),
        "form_token": form_token,
    }
    return show(request, "django_lazyauth/account_password.html", context, script=SCRIPT)


def _is_right(request: HttpRequest, user: AbstractBaseUser, form: OwnPasswordForm) -> bool:
    match password.check(request, user, form.cleaned_data["current"]):
        case "right":
            return True
        case "locked":
            minutes = math.ceil(PERSON_FAILURES.seconds_left() / 60)
            words = ngettext(
                "Too many attempts. Try again in %(minutes)d minute.",
                "Too many attempts. Try again in %(minutes)d minutes.",
                minutes,
            )
            form.add_error("current", words % {"minutes": minutes})
        case _wrong:
            form.add_error("current", _("This is not your current password."))
    return False
