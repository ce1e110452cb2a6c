"""The address that upstreams send people back to.

Not here: the state, the check for mix-ups and what the answer means (:mod:`django_lazyauth.sign_in.callback`).
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.errors import InvalidGrant, InvalidRequest
from django_lazyauth.kit.results import Pending
from django_lazyauth.sign_in import callback
from django_lazyauth.sign_in.linking import Linked

from . import binding
from .choose import show_choices, way_is_closed
from .flow import next_step, show_waiting
from .leave import back_to_account, turn_away
from .page import go, page_view
from .request_input import read_parameters

#: What an upstream may send (RFC 6749 §4.1.2, RFC 9207, OAuth 2.0 Form Post Response Mode).
MAX_LENGTHS = dict.fromkeys(("code", "state", "iss", "error", "error_description"), 8 * 1024)


@page_view("GET", "HEAD", "POST")
def callback_view(request: HttpRequest, provider: str) -> HttpResponse:
    """Take the upstream's answer. A cross-site POST has no Lax cookie: the GET that follows brings it."""
    try:
        values = read_parameters(request, MAX_LENGTHS)
    except InvalidRequest:
        raise InvalidGrant from None
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
