"""Where upstreams send people back to."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.errors import InvalidGrant
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.openid.results import Pending
from django_lazyauth.sign_in import callback
from django_lazyauth.sign_in.linking import Linked

from . import binding
from .decorators import page_view
from .flow import back_to_account, next_step, show_choices, show_waiting, turn_away, way_is_closed
from .redirects import go

MAX_PARAMETER_LENGTH = 8 * 1024
#: What an upstream may send (RFC 6749 §4.1.2, RFC 9207, OAuth 2.0 Form Post Response Mode).
PARAMETERS = ("code", "state", "iss", "error", "error_description")


@page_view("GET", "HEAD", "POST")
def callback_view(request: HttpRequest, provider: str) -> HttpResponse:
    """Take the upstream's answer. A cross-site POST has no Lax cookie: the GET that follows brings it."""
    parameters = request.POST if request.method == "POST" else request.GET
    values = {}
    for name in PARAMETERS:
        given = parameters.getlist(name)
        if len(given) > 1 or any(
            has_bad_characters(value) or len(value) > MAX_PARAMETER_LENGTH for value in given
        ):
            raise InvalidGrant
        if given:
            values[name] = given[0]
    if request.method == "POST":
        return go(f"{reverse('lazyauth:callback', args=[provider])}?{urlencode(values)}")
    state = values.get("state", "")
    if not state:
        raise InvalidGrant
    pending = callback.session_of(state)
    secret = binding.secret_of(request, pending.pk)
    try:
        result = callback.receive(request, pending, provider_name=provider, binding=secret)
    except callback.WrongProvider as wrong:
        return turn_away(pending, wrong.url)
    except callback.SignInRefused as refused:
        return turn_away(pending, refused.url)
    except callback.SignInFailed as failed:
        return show_choices(request, failed.pending, secret, notice=way_is_closed(provider, failed.reason))
    if isinstance(result, Pending):
        return show_waiting(request, pending, result)
    if isinstance(result, Linked):
        return back_to_account(pending, result.value)
    return next_step(request, result)
