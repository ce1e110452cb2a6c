"""What every page shares: its decorator, its headers, its language, readable errors, and redirects.

Not here: what a page shows (:mod:`.choose`, :mod:`.consent`, :mod:`.provider`, :mod:`.account`, :mod:`.logout`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from django_lazyauth.errors import InvalidGrant, InvalidRequest, TemporarilyUnavailable
from django_lazyauth.kit.http import outside_transactions

from .json_endpoint import RETRY_AFTER_UNAVAILABLE
from .request_input import (
    UNREADABLE,
    form_is_sound,
    hidden_from_reports,
    is_speculative,
    read_body,
)

View = Callable[..., HttpResponse]


def flow_is_gone() -> str:
    """Return what a person reads when a flow cannot go on. It does not tell which check failed."""
    return _(
        "This sign-in is over, or was begun in another browser. Go back to the application and start again."
    )


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
    except InvalidRequest as error:
        return show_error(request, _(error.description))
    except InvalidGrant as error:
        return show_error(request, _(error.description) or flow_is_gone())
    except TemporarilyUnavailable as error:
        response = show_error(request, _(error.description), status=503)
        response.headers["Retry-After"] = str(RETRY_AFTER_UNAVAILABLE)
        return response


def _wrong_method(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponse:
    """Tell a person who reloaded the address of a form where to go on (RFC 9110 §15.5.6)."""
    response = show_error(
        request, _("This page cannot be reloaded. Go back to the application and start again."), status=405
    )
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
) -> HttpResponse:
    """Return the rendered page, in the language that :func:`speaking` chooses."""
    with speaking(ui_locales):
        response = render(request, template, dict(context), status=status)
        response.headers["Content-Language"] = translation.get_language() or "en"
    return guard(response)


def show_error(
    request: HttpRequest, message: str, *, status: int = 400, is_unshared: bool = False
) -> HttpResponse:
    """Return a page for the person where no client can be told.

    Args:
        is_unshared: It is certain that no code was issued, and the page says that nothing was shared.
    """
    context = {"message": message, "is_unshared": is_unshared}
    return show(request, "django_lazyauth/error.html", context, status=status)


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
    the client, to hosts that cannot be listed.
    """
    static = urlsplit(settings.STATIC_URL or "")
    styles = f"'self' {static.scheme}://{static.netloc}" if static.netloc else "'self'"
    return f"default-src 'none'; style-src {styles}; img-src {styles} data:; base-uri 'none'; frame-ancestors 'none'"


# -- its language ----------------------------------------------------------------------------------------


def speaking(ui_locales: str) -> translation.override:
    """Use the first of *ui_locales* that is supported (OpenID Connect Core §3.1.2.1), else the active language."""
    return translation.override(_language(ui_locales) or translation.get_language())


def _language(ui_locales: str) -> str | None:
    for tag in ui_locales.split()[:10]:
        try:
            return translation.get_supported_language_variant(tag.lower())
        except LookupError:
            continue
    return None


def account_url(done: str) -> str:
    """Return the address of the account page that shows the message *done*."""
    return f"{reverse('lazyauth:account')}?{urlencode({'done': done})}"
