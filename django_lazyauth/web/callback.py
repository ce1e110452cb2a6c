"""The address that upstreams send people back to.

Not here: the state, the check for mix-ups and what the answer means (:mod:`django_lazyauth.sign_in.callback`).
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.errors import InvalidGrant, InvalidRequest
from django_lazyauth.kit.observe.log_context import note_session
from django_lazyauth.kit.results import Pending
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.providers.base import Redirect
from django_lazyauth.sign_in import callback
from django_lazyauth.sign_in.linking import Linked
from django_lazyauth.upkeep.jobs import sweep_if_overdue

from . import binding, repeat
from .binding import back_to_account, turn_away, turn_away_at_once
from .choose import show_choices
from .flow import next_step, show_waiting
from .page import go, page_view
from .repeat import Acted, Keep, acted
from .request_input import read_parameters

#: What an upstream may send (RFC 6749 §4.1.2, RFC 9207, OAuth 2.0 Form Post Response Mode).
MAX_LENGTHS = dict.fromkeys(("code", "state", "iss", "error", "error_description"), 8 * 1024)


@page_view("GET", "HEAD", "POST")
def callback_view(request: HttpRequest, provider: str) -> HttpResponse:
    """Take the upstream's answer. A cross-site POST has no Lax cookie: the GET that follows brings it.

    The address of that GET holds what the protocol needs. What a provider says of the person waits sealed in the row.
    """
    sweep_if_overdue()
    try:
        values = read_parameters(request, MAX_LENGTHS)
    except InvalidRequest:
        raise InvalidGrant from None
    if request.method == "POST":
        posted = {name: given[0] for name, given in request.POST.lists() if len(given) == 1}
        callback.keep_posted(values.get("state", ""), provider, posted)
        return go(f"{reverse('lazyauth:callback', args=[provider])}?{urlencode(values)}")
    state = values.get("state", "")
    if not state:
        raise InvalidGrant
    try:
        pending = callback.session_of(state)
    except InvalidGrant:
        if place := repeat.earlier_place(request, *binding.all_secrets(request).values()):
            return place
        raise
    note_session(pending.pk)
    secret = binding.secret_of(request, pending.pk)
    callback.require_same_browser(pending, secret)

    def work() -> Acted:
        return _receive(request, pending, secret, provider)

    return repeat.answer_once(request, pending, secret, work, look=repeat.earlier_place)


def _receive(request: HttpRequest, pending: PendingAuthorization, secret: str, provider: str) -> Acted:
    """Go on with the upstream's answer. The state is spent, except where another server has to be waited for."""
    try:
        result = callback.receive(request, pending, provider_name=provider, binding=secret)
    except callback.WrongProvider as wrong:
        return Acted(turn_away_at_once(request, pending, wrong.response), Keep.PLACE)
    except callback.SignInRefused as refused:
        return acted(turn_away(request, pending, refused.response))
    except callback.SignInFailed as failed:
        if failed.went_on:
            return Acted(go(reverse("lazyauth:flow", args=[pending.pk])), Keep.PLACE)
        page = show_choices(request, failed.pending, secret, failed=(provider, failed.failure))
        return Acted(page, Keep.PLACE)
    if isinstance(result, Pending):
        return Acted(show_waiting(request, pending, result), Keep.NOTHING)
    if isinstance(result, Redirect):
        return acted(go(result.url))
    if isinstance(result, Linked):
        return acted(back_to_account(request, pending, result.value))
    return acted(next_step(request, result), otherwise=Keep.PLACE)
