"""A second click, a reload, a form that is sent again: the browser gets what it got the first time.

Kept is the whole answer: status, headers, cookies of the flow, page, and the sign-in of this browser, because the
browser may have dropped the first answer. See :mod:`django_lazyauth.sign_in.answers` for how it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.kit.retry import is_outage
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.sessions import browser
from django_lazyauth.sign_in import answers

from .page import ClientPost, show

#: Requests that take turns before one of them does the work without a claim.
TURNS = 3


class Keep(Enum):
    """What the same request gets when it comes again."""

    #: The same answer.
    ANSWER = auto()
    #: The page of where the flow stands by then.
    PLACE = auto()
    #: Nothing was done that counts, so it is done again.
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Acted:
    """A response, and what of it is kept."""

    response: HttpResponse
    keep: Keep


def acted(response: HttpResponse, *, otherwise: Keep = Keep.NOTHING) -> Acted:
    """Return *response*, kept if the flow went on: a redirect, or a form for the client. Pages ask the person.

    Args:
        otherwise: What is kept of a page.
    """
    goes_on = response.status_code == 303 or isinstance(response, ClientPost)
    return Acted(response, Keep.ANSWER if goes_on else otherwise)


def earlier_answer(request: HttpRequest, *secrets: str) -> HttpResponse | None:
    """Return what the same request of this browser got before; ``None`` where it has to be answered now.

    Args:
        secrets: Of the flows that it may belong to.
    """
    found = answers.find_earlier(_asked(request), secrets)
    return _repeated(request, found) if found and found.answer else None


def _repeated(request: HttpRequest, found: answers.Earlier) -> HttpResponse:
    """Return the answer that was kept, or the page that stands for it when its code was redeemed.

    A client that is given a spent code may redeem it, and a replay ends the session (I2).
    """
    response = _response_of(request, found.answer)
    if found.pending is None or found.pending.status != Status.EXCHANGED or not _leaves(response):
        return response
    return show(request, "django_lazyauth/answered.html", {}, ui_locales=found.pending.ui_locales)


def earlier_place(request: HttpRequest, *secrets: str) -> HttpResponse | None:
    """Return what the same callback got before, or a redirect to where its flow stands now."""
    found = answers.find_earlier(_asked(request), secrets)
    if found is None:
        return None
    place = reverse("lazyauth:flow", args=[found.pending.pk]) if found.pending else ""
    response = _repeated(request, found) if found.answer else None
    if response is not None and response.headers.get("Location") != place:
        return response
    if found.pending is None or found.pending.status in (Status.CODE_ISSUED, Status.EXCHANGED, Status.FAILED):
        return None
    if response is not None:
        return response
    response = HttpResponse(status=303)
    response.headers["Location"] = place
    return response


def answer_once(
    request: HttpRequest,
    pending: PendingAuthorization,
    secret: str,
    work: Callable[[], Acted],
    *,
    look: Callable[..., HttpResponse | None] = earlier_answer,
) -> HttpResponse:
    """Do *work*, unless the same request of this browser did it, or is doing it: then return that answer.

    The caller checked that the flow is this browser's, and that the form is the flow's.

    Args:
        look: How the answer of the other request is found.
    """
    asked = _asked(request)
    for turn in range(TURNS):
        if answers.claim(pending, asked, secret, again=turn > 0):
            return _work(request, pending, secret, work)
        if earlier := look(request, secret):
            return earlier
    return work().response


def _work(
    request: HttpRequest, pending: PendingAuthorization, secret: str, work: Callable[[], Acted]
) -> HttpResponse:
    asked = _asked(request)
    try:
        done = work()
    except BaseException as error:
        if isinstance(error, Exception) and is_outage(error):
            answers.abandon(asked, secret)
        else:
            answers.release(asked, secret)
        raise
    if done.keep is Keep.NOTHING:
        answers.release(asked, secret)
    else:
        keep_answer(request, pending, secret, done)
    return done.response


@sensitive_variables()
def keep_answer(request: HttpRequest, pending: PendingAuthorization, secret: str, done: Acted) -> None:
    """Keep what the request got, which :func:`answer_once` claimed."""
    response = done.response
    text = _text_of(request, response) if done.keep is Keep.ANSWER else ""
    answers.keep(pending.pk, _asked(request), secret, text, leaves=_leaves(response))


@sensitive_variables()
def remember(
    request: HttpRequest, pending: PendingAuthorization, secret: str, response: HttpResponse
) -> HttpResponse:
    """Keep what a request got that had no claim, because its flow did not exist before."""
    if acted(response).keep is Keep.ANSWER:
        text = _text_of(request, response)
        answers.keep_first(pending, _asked(request), secret, text, leaves=_leaves(response))
    return response


def _leaves(response: HttpResponse) -> bool:
    """Say whether the response leads to another address than ours, which are all written without a host."""
    return isinstance(response, ClientPost) or not response.headers.get("Location", "/").startswith("/")


@sensitive_variables()
def _asked(request: HttpRequest) -> str:
    """Return the whole request as text: its address, and each field of its form."""
    given = request.POST if request.method == "POST" else request.GET
    fields = sorted((name, value) for name, values in given.lists() for value in values)
    return f"{request.method} {request.path}\n{urlencode(fields)}"


@sensitive_variables()
def _text_of(request: HttpRequest, response: HttpResponse) -> str:
    return json.dumps(
        {
            "status": response.status_code,
            "headers": dict(response.headers),
            "cookies": [cookie.OutputString() for cookie in response.cookies.values()],
            "body": response.content.decode(),
            "session": browser.kept_session(request),
            "is_post": isinstance(response, ClientPost),
        }
    )


@sensitive_variables()
def _response_of(request: HttpRequest, text: str) -> HttpResponse:
    kept = json.loads(text)
    browser.take_session(request, kept["session"])
    made = ClientPost if kept.get("is_post") else HttpResponse  # An earlier release kept no such answers.
    response = made(kept["body"], status=kept["status"], headers=kept["headers"])
    for cookie in kept["cookies"]:
        response.cookies.load(cookie)
    return response
