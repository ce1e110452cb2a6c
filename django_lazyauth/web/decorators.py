"""What every view of a page shares: sound input, our own form tokens, readable errors, no transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from django_lazyauth.errors import InvalidGrant, InvalidRequest, TemporarilyUnavailable
from django_lazyauth.kit.text import has_bad_characters

from .pages import show_error
from .parameters import UNREADABLE, read_as_utf8
from .transactions import outside_transactions

View = Callable[..., HttpResponse]
MAX_FIELD_LENGTH = 64 * 1024


def flow_is_gone() -> str:
    """Return what a person reads when a flow cannot go on; which check failed is not said."""
    return _(
        "This sign-in is over, or was begun in another browser. Go back to the application and start again."
    )


def page_view(*methods: str) -> Callable[[View], View]:
    """Make a view of a page that people see.

    Its forms carry our own tokens (see ``binding``), so Django's check is off; its flows open their own
    transactions and talk to upstreams in between, so no request-wide transaction may stand around it.
    """

    def decorate(view: View) -> View:
        @sensitive_post_parameters("password", "code", "new_password")
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in methods:
                return _wrong_method(request, methods)
            try:
                read_as_utf8(request)
                _check_form(request)
                return view(request, *args, **kwargs)
            except UNREADABLE:
                return show_error(request, _("The form cannot be read."))
            except InvalidRequest as error:
                return show_error(request, _(error.description))
            except InvalidGrant as error:
                return show_error(request, _(error.description) or flow_is_gone())
            except TemporarilyUnavailable as error:
                response = show_error(request, _(error.description), status=503)
                response.headers["Retry-After"] = "60"
                return response

        # Outermost: what Django and its middleware read from the view function itself.
        return login_not_required(csrf_exempt(outside_transactions(guarded)))

    return decorate


def _wrong_method(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponse:
    """Tell a person who reloaded the address of a form where to go on (RFC 9110 §15.5.6)."""
    response = show_error(
        request, _("This page cannot be reloaded. Go back to the application and start again."), status=405
    )
    response.headers["Allow"] = ", ".join(methods)
    return response


def _check_form(request: HttpRequest) -> None:
    for name, values in request.POST.lists():
        if has_bad_characters(name) or any(
            has_bad_characters(value) or len(value) > MAX_FIELD_LENGTH for value in values
        ):
            raise InvalidRequest(_("The form holds characters that it cannot hold."))
