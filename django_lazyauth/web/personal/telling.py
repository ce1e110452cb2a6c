"""What the account page says after an act. Only words of ours are told, and a name only where we signed it."""

from __future__ import annotations

from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.core import signing
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from ..choose import domain_is_closed
from ..page import account_url

SALT: Final = "django_lazyauth.account.done"
#: Seconds for which the address names what ended.
MAX_AGE: Final = 300

#: ``done`` in the page's address → message, and the message with a name.
DONE: dict[str, tuple[Promise, Promise | None]] = {
    "linked": (gettext_lazy("The account is connected. You can sign in with it from now on."), None),
    "known": (gettext_lazy("This account was connected already."), None),
    "password_set": (gettext_lazy("Your password is set. You can sign in with it from now on."), None),
    "password_changed": (
        gettext_lazy("Your password is changed. All applications and other browsers are signed out."),
        None,
    ),
    "unlinked": (
        gettext_lazy("The account is no longer connected."),
        gettext_lazy("%(name)s is no longer connected."),
    ),
    "ended": (gettext_lazy("The application is signed out."), gettext_lazy("%(name)s is signed out.")),
    "ended_all": (gettext_lazy("All applications are signed out."), None),
    "withdrawn": (
        gettext_lazy("The application has no access any more."),
        gettext_lazy("%(name)s has no access any more."),
    ),
}
FAILED: dict[str, Promise] = {
    "taken": gettext_lazy("This account belongs to somebody else here. Nothing was connected."),
    "has_password": gettext_lazy("Your account has a password already. Nothing was changed."),
    "gone": gettext_lazy("That was over already."),
    "last": gettext_lazy("This is your only way to sign in. Connect another one first."),
    "again": gettext_lazy("Please sign in again first. Nothing was changed."),
    "closed": domain_is_closed(),
    "kept": gettext_lazy("This site has records that need your account. Nothing was deleted."),
}


def url_after(user: AbstractBaseUser, done: str, name: str = "") -> str:
    """Return the address of the account page that says what was done, to *name*."""
    if not name or done not in DONE:
        return account_url(done)
    return account_url(done, of=signing.dumps([str(user.pk), done, name], salt=SALT))


def words_after(done: str, name: str) -> str:
    """Return what was done, to *name*."""
    plain, named = DONE[done]
    return str(named) % {"name": name} if name and named else str(plain)


def messages_of(request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
    """Return what the page says of the act before: ``done``, or a ``notice`` that nothing was done."""
    key = request.GET.get("done", "")
    done = words_after(key, _name(request.GET.get("of", ""), user, key)) if key in DONE else ""
    return {"done": done, "notice": str(FAILED.get(key, ""))}


def _name(signed: str, user: AbstractBaseUser, done: str) -> str:
    try:
        pk, of, name = signing.loads(signed[:2000], salt=SALT, max_age=MAX_AGE)
    except (signing.BadSignature, ValueError):
        return ""
    return str(name) if (pk, of) == (str(user.pk), done) else ""
