"""The pages of a provider of our own site, such as the password's."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.providers.base import Page
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sign_in import callback
from django_lazyauth.sign_in.linking import Linked

from . import binding, repeat
from .binding import back_to_account, turn_away
from .choose import show_choices
from .client_card import card_of
from .design.language import speaking
from .flow import check_form, next_step, own_pending, send
from .page import page_view, show
from .repeat import Acted, Keep, acted


@page_view("GET", "HEAD", "POST")
def provider_view(request: HttpRequest, session_id: UUID, provider: str) -> HttpResponse:
    """Show the provider's page, or let the provider read the form of one."""
    if request.method == "POST":
        if earlier := repeat.earlier_answer(request, binding.secret_of(request, session_id)):
            return earlier
        pending, secret = own_pending(request, session_id)
        check_form(request, secret, f"provider {provider}")
        return repeat.answer_once(
            request, pending, secret, lambda: _answer(request, pending, secret, provider)
        )
    pending, secret = own_pending(request, session_id)
    if pending.status == Status.REQUESTED and pending.provider == provider:
        # The provider was chosen and waits for another server; the waiting page reloads this address.
        return send(request, pending, provider, secret)
    return _answer(request, pending, secret, provider).response


def _answer(request: HttpRequest, pending: PendingAuthorization, secret: str, provider: str) -> Acted:
    """Let the provider show its page or take its form, and go on from there."""
    try:
        # The provider's pages and mails are in the page's language.
        with speaking(request, pending.ui_locales):
            step = callback.answer_page(request, pending, provider)
    except callback.SignInFailed as failed:
        return acted(show_choices(request, pending, secret, failed=(provider, failed.failure)))
    except callback.SignInRefused as refused:
        return acted(turn_away(request, pending, refused.response))
    if isinstance(step, Linked):
        return acted(back_to_account(request, pending, step))
    if isinstance(step, Page):
        response = _show_provider_page(request, pending, secret, step)
        return Acted(response, Keep.ANSWER if step.is_final else Keep.NOTHING)
    return acted(next_step(request, step))


def _show_provider_page(
    request: HttpRequest, pending: PendingAuthorization, secret: str, page: Page
) -> HttpResponse:
    return show(
        request,
        page.template,
        {
            **page.context,
            "client": card_of(pending),
            "is_link": pending.link_to_id is not None,
            "provider": get_provider(pending.provider),
            "flow_url": reverse("lazyauth:provider", args=[pending.pk, pending.provider]),
            "choices_url": reverse("lazyauth:flow", args=[pending.pk]),
            "form_token": binding.form_token(secret, f"provider {pending.provider}"),
        },
        ui_locales=pending.ui_locales,
        status=page.status,
        script=page.script,
    )
