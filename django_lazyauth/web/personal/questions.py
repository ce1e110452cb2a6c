"""What the account page asks before it ends something: each question names what ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_lazyauth.sessions.listing import sessions_of
from django_lazyauth.sign_in import identities
from django_lazyauth.toolkit import clients

from ..client_card import client_card, name_of_provider


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        name: What ends; empty where it is several.
        title: The question.
        follows: What follows from it.
        button: What the button says.
        fields: Fields of the form that the answer repeats.
        section: Of the account page, where it stands.
    """

    name: str
    title: str
    follows: str
    button: str
    fields: tuple[tuple[str, str], ...]
    section: str


def question_of(request: HttpRequest, user: AbstractBaseUser) -> Question | None:
    """Return what to ask before the act that *request* posts; ``None`` where it ends nothing that is there."""
    find = _QUESTIONS.get(request.POST.get("action", ""))
    return find(request, user) if find else None


def _end(request: HttpRequest, user: AbstractBaseUser) -> Question | None:
    try:
        session_id = UUID(request.POST.get("session", ""))
    except ValueError:
        return None
    found = [session for session in sessions_of(user) if session.session_id == session_id]
    if not found:
        return None
    name = client_card(found[0].client).name
    return Question(
        name,
        _("Sign out of %(name)s?") % {"name": name},
        _("It has to ask you to sign in again."),
        _("Sign out"),
        (("session", str(session_id)),),
        "sessions",
    )


def _end_all(request: HttpRequest, user: AbstractBaseUser) -> Question | None:
    count = len(sessions_of(user))
    words = ngettext(
        "You are signed in to %(count)d application. It has to ask you to sign in again.",
        "You are signed in to %(count)d applications. They have to ask you to sign in again.",
        count,
    )
    return Question(
        "",
        _("Sign out of all applications?"),
        words % {"count": count},
        _("Sign out of all applications"),
        (),
        "sessions",
    )


def _withdraw(request: HttpRequest, user: AbstractBaseUser) -> Question | None:
    client = clients.load_client(request.POST.get("client", ""))
    if client is None:
        return None
    name = client_card(client).name
    return Question(
        name,
        _("Withdraw access of %(name)s?") % {"name": name},
        _("It is signed out, and has to ask for your permission again."),
        _("Withdraw access"),
        (("client", client.client_id),),
        "applications",
    )


def _unlink(request: HttpRequest, user: AbstractBaseUser) -> Question | None:
    number = request.POST.get("identity", "")
    found = [row for row in identities.of_user(user) if str(row.pk) == number]
    if not found:
        return None
    name = found[0].sso_name or name_of_provider(found[0].provider)
    return Question(
        name,
        _("Disconnect %(name)s?") % {"name": name},
        _("You cannot sign in with it any more. Where you signed in with it, you are signed out."),
        _("Disconnect"),
        (("identity", number),),
        "ways",
    )


_QUESTIONS: Final[dict[str, Callable[[HttpRequest, AbstractBaseUser], Question | None]]] = {
    "end": _end,
    "end_all": _end_all,
    "withdraw": _withdraw,
    "unlink": _unlink,
}
