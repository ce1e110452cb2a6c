"""What every page shares: its decorator, its headers, readable errors, and redirects.

Not here: what a page shows (:mod:`.choose`, :mod:`.consent`, :mod:`.provider`, :mod:`.account`, :mod:`.logout`), and
its brand and language (:mod:`.design`).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt

from django_lazyauth.clients.redirects import AuthorizationResponse, host_of
from django_lazyauth.errors import InvalidGrant, InvalidRequest, OAuthError, TemporarilyUnavailable
from django_lazyauth.grants.contract import error_of
from django_lazyauth.kit.http import outside_transactions
from django_lazyauth.kit.log import log_failure

from .design.brand import brand_of_site, logo_origin
from .design.language import speaking
from .json_endpoint import RETRY_AFTER_UNAVAILABLE
from .request_input import (
    UNREADABLE,
    form_is_sound,
    hidden_from_reports,
    is_speculative,
    read_body,
)

View = Callable[..., HttpResponse]
logger = logging.getLogger("django_lazyauth.pages")


class ErrorKind(Enum):
    """Whose turn it is after an error. The value stands in the line of the log."""

    #: The person stopped.
    CANCELLED = "cancelled"
    #: It does not work now, and may work later.
    LATER = "try_again"
    #: Somebody set something up wrongly. The person cannot repair it.
    SET_UP = "set_up_wrongly"
    #: The request is not served, and the page says why.
    REFUSED = "refused"


#: Heading, and what to do next.
ERROR_WORDS: Final[Mapping[ErrorKind, tuple[Promise, Promise]]] = {
    ErrorKind.CANCELLED: (
        gettext_lazy("You did not sign in"),
        gettext_lazy("You can begin again at any time."),
    ),
    ErrorKind.LATER: (
        gettext_lazy("This does not work at the moment"),
        gettext_lazy(
            "Wait a moment and try again. If it stays like this, tell the people who run this site."
        ),
    ),
    ErrorKind.SET_UP: (
        gettext_lazy("The application does not work here"),
        gettext_lazy(
            "You cannot repair this. Tell the people who run the application, and name the reference."
        ),
    ),
    ErrorKind.REFUSED: (
        gettext_lazy("This did not work"),
        gettext_lazy("Go back to the application and start again."),
    ),
}


class Unservable(InvalidRequest):
    """The application sent a request that cannot be served. The description is for whoever makes it, in English."""


def flow_is_gone() -> str:
    """Return what a person reads when a flow cannot go on. It does not tell which check failed."""
    return _("This sign-in is over, or was begun in another browser.")


# -- the decorator ---------------------------------------------------------------------------------------


def page_view(*methods: str, keeps_opener: bool = True) -> Callable[[View], View]:
    """Make a view of a page that people see.

    Its forms carry our own tokens (see :mod:`.binding`), so Django's check is off. No transaction stands around
    the request: the rooms open their own, and talk to upstreams between them.

    Args:
        keeps_opener: Whether a window that a client's page opened may go on talking to it: a sign-in by popup. The
            pages of an account have no such opener.
    """
    opener_policy = "unsafe-none" if keeps_opener else "same-origin"

    def decorate(view: View) -> View:
        @hidden_from_reports
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # Also around the view: it makes texts before the page is rendered.
            with speaking(request):
                if request.method not in methods:
                    response = _wrong_method(request, methods)
                elif is_speculative(request):
                    response = _answer_speculation(request)
                else:
                    response = _answer(view, request, *args, **kwargs)
            # Django's SecurityMiddleware leaves a header that is set.
            response.headers["Cross-Origin-Opener-Policy"] = opener_policy
            return response

        # Outermost: Django and its middleware read these marks from the view function itself.
        return login_not_required(csrf_exempt(outside_transactions(guarded)))

    return decorate


def _answer(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    try:
        read_body(request)
        if not form_is_sound(request):
            raise InvalidRequest(_("The form holds characters that it cannot hold."))
        return view(request, *args, **kwargs)
    except UNREADABLE:
        return show_error(request, _("The form cannot be read."))
    except Unservable as error:
        return show_unservable(request, error.description, code=error.error)
    except InvalidRequest as error:
        return _show_raised(request, error, _(error.description))
    except InvalidGrant as error:
        # gettext("") is the header of the catalogue.
        words = _(error.description) if error.description else flow_is_gone()
        return _show_raised(request, error, words)
    except TemporarilyUnavailable as error:
        return _show_unavailable(request, error)
    except Exception as error:
        # Drivers and caches have no class in common. What is no outage goes on as it was, to Django's report.
        told = error_of(error)
        if not isinstance(told, TemporarilyUnavailable):
            raise
        log_failure(logger, "a page failed", error)
        return _show_unavailable(request, told, is_bare=True)


def _show_unavailable(
    request: HttpRequest, error: TemporarilyUnavailable, *, is_bare: bool = False
) -> HttpResponse:
    # gettext("") is the header of the catalogue.
    words = _(error.description) if error.description else _("This site cannot answer at the moment.")
    response = _show_raised(request, error, words, kind=ErrorKind.LATER, status=503, is_bare=is_bare)
    response.headers["Retry-After"] = str(RETRY_AFTER_UNAVAILABLE)
    return response


def _show_raised(request: HttpRequest, error: OAuthError, message: str, **how: Any) -> HttpResponse:
    return show_error(request, message, code=error.error, detail=error.debug, **how)


def _wrong_method(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponse:
    """Tell a person who reloaded the address of a form where to go on (RFC 9110 §15.5.6)."""
    response = show_error(request, _("This page cannot be reloaded."), status=405)
    response.headers["Allow"] = ", ".join(methods)
    return response


def _answer_speculation(request: HttpRequest) -> HttpResponse:
    """Answer a request that no person made yet. Nothing is read, spent or written, and no cookie is set (I23).

    A browser discards a prefetched page that is an error, and asks again when the person goes there.
    """
    return guard(HttpResponse(status=200 if request.method == "HEAD" else 403))


# -- the answer ------------------------------------------------------------------------------------------


def show(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    ui_locales: str = "",
    kind: type[HttpResponse] = HttpResponse,
    script: str = "",
    is_bare: bool = False,
) -> HttpResponse:
    """Return the rendered page, in the language that :func:`speaking` chooses.

    Args:
        is_bare: Without context processors, because those of a host may ask the database that is away.
        script: Path below ``STATIC_URL`` of a script. The page may run this one and no other.
    """
    source = static(script) if script else ""
    with speaking(request, ui_locales):
        rendered = render_to_string(
            template,
            {"brand": brand_of_site(), "script": source, **context},
            None if is_bare else request,
        )
        response = kind(rendered, status=status)
        response.headers["Content-Language"] = translation.get_language() or "en"
    guard(response)
    if source:
        policy = f"{content_security_policy()}; script-src {request.build_absolute_uri(source)}"
        response.headers["Content-Security-Policy"] = policy
    return response


def show_error(
    request: HttpRequest,
    message: str,
    *,
    kind: ErrorKind = ErrorKind.REFUSED,
    status: int = 400,
    is_unshared: bool = False,
    technical: str = "",
    way_on: tuple[str, str] | None = None,
    code: str = "",
    detail: str = "",
    is_bare: bool = False,
) -> HttpResponse:
    """Return a page for the person where no client can be told. Its reference is in the log, too.

    Args:
        is_unshared: It is certain that no code was issued, and the page says that nothing was shared.
        technical: What whoever makes the application has to know, in English.
        way_on: Address of this site and text of a link, instead of what the kind says is next.
        code: The error's code, for the log.
        detail: What only the operator may read of it.
        is_bare: See :func:`show`.
    """
    reference, at = secrets.token_hex(4).upper(), timezone.now()
    _log_error(kind, reference=reference, status=status, error=code, detail=detail)
    heading, what_next = ERROR_WORDS[kind]
    context = {
        "heading": heading,
        "message": message,
        "is_calm": kind is ErrorKind.CANCELLED,
        "technical": technical,
        "what_next": "" if way_on else what_next,
        "way_on": way_on,
        "can_reload": kind is ErrorKind.LATER and request.method == "GET",
        "is_unshared": is_unshared,
        "reference": reference,
        "at": at,
    }
    return show(request, "django_lazyauth/error.html", context, status=status, is_bare=is_bare)


def show_unservable(request: HttpRequest, technical: str, *, code: str) -> HttpResponse:
    """Return the page about a request that an application made wrongly. No code was issued for it."""
    return show_error(
        request,
        _("The application sent a request that cannot be served."),
        kind=ErrorKind.SET_UP,
        is_unshared=True,
        technical=technical,
        code=code,
    )


def _log_error(kind: ErrorKind, **said: str | int) -> None:
    """Note what the operator needs to find the page by its reference. No text of the request is in it (I13)."""
    words = " ".join(f"{name}={value}" for name, value in said.items() if value != "")
    level = logging.WARNING if kind is ErrorKind.LATER else logging.INFO
    logger.log(level, "error page: kind=%s %s", kind.value, words, extra={"kind": kind.value, **said})


class ClientRedirect(HttpResponseRedirect):
    """303: after any method the browser goes on with a GET (RFC 9700 §4.12).

    Django refuses unknown schemes. Ours were checked against the client's registration.
    """

    status_code = 303

    def __init__(self, url: str) -> None:
        self.allowed_schemes = [urlsplit(url).scheme]
        super().__init__(url)


def go(url: str) -> HttpResponse:
    """Return a redirect to a URL that a room made."""
    return guard(ClientRedirect(url))


class ClientPost(HttpResponse):
    """A page whose only form brings the answer to the client (OAuth 2.0 Form Post Response Mode §2)."""


def answer_client(
    request: HttpRequest, answer: AuthorizationResponse, *, ui_locales: str = ""
) -> HttpResponse:
    """Return what brings *answer* to the client: a redirect, or a page with a form.

    Our script sends the form, and a button does where no scripts run. Neither can be sent to another origin.
    """
    if not answer.is_posted:
        return go(answer.url)
    context = {"answer": answer, "host": host_of(answer.redirect_uri)}
    response = show(
        request, "django_lazyauth/form_post.html", context, ui_locales=ui_locales, kind=ClientPost
    )
    response.headers["Content-Security-Policy"] = (
        f"{content_security_policy()}; script-src {_static_sources()}; form-action {answer.origin}"
    )
    return response


def guard(response: HttpResponse) -> HttpResponse:
    """Add the headers of every answer that belongs to a sign-in."""
    response.headers["Content-Security-Policy"] = content_security_policy()
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def content_security_policy() -> str:
    """Allow our own styles and pictures, and nothing else.

    No ``form-action``: browsers apply it to every redirect after a form. The redirects lead through upstreams to
    the client, to hosts that cannot be listed. Only the form of :func:`answer_client` leads to one place.
    """
    styles = _static_sources()
    pictures = f"{styles} {logo}" if (logo := logo_origin()) else styles
    return (
        f"default-src 'none'; style-src {styles}; img-src {pictures}; base-uri 'none'; frame-ancestors 'none'"
    )


def _static_sources() -> str:
    url = urlsplit(settings.STATIC_URL or "")
    return f"'self' {url.scheme}://{url.netloc}" if url.netloc else "'self'"


#: Section of the account page that a message is about. Others are about a failure, and stand where the page begins.
SECTIONS: Final[Mapping[str, str]] = {
    "linked": "ways",
    "known": "ways",
    "unlinked": "ways",
    "password_changed": "ways",
    "withdrawn": "applications",
}


def account_url(done: str = "", *, section: str = "", **query: str) -> str:
    """Return the address of the account page, at a section of it, that shows the message *done*."""
    asked = urlencode({"done": done, **query} if done else query)
    place = section or SECTIONS.get(done, "")
    return reverse("lazyauth:account") + (f"?{asked}" if asked else "") + (f"#{place}" if place else "")
