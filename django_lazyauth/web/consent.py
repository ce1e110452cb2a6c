"""The consent page: what it shows, what its form is good for, and what follows from the decision.

It stands before a row exists, for a person who was signed in here already, and after the row was authenticated.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from django_lazyauth.authorize.code import allow, deny
from django_lazyauth.authorize.consent import allowed_before, deferred_account
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.toolkit import clients

from . import binding
from .binding import Carried, leave, turn_away
from .client_card import card_of, name_of_user, resource_cards, scope_groups, scope_lines
from .device.card import device_card
from .page import show


def consent_form(client: Any, user: AbstractBaseUser | None = None) -> str:
    """Return the purpose of a consent form: the client as the page showed it, and the account that it named.

    A form must not speak for another account that signed in since.
    """
    return f"consent {clients.metadata_digest(client)} {user.pk if user else ''}"


def consent_form_of(pending: PendingAuthorization) -> str:
    """Return the purpose of the consent form of a row: the client, and the sign-in that the page was shown for.

    A form that stayed open must not speak for somebody who signed in since, in the same flow.
    """
    return f"{consent_form(pending.client)} {pending.auth_time and pending.auth_time.timestamp()}"


def show_first_consent(request: HttpRequest, carried: Carried, user: AbstractBaseUser) -> HttpResponse:
    """Ask a person who is signed in here already. The request has no row yet."""
    checked = carried.checked
    response = _show(
        request,
        checked,
        resources=resource_cards(checked.resources),
        allowed=allowed_before(user, client=checked.client, resources=checked.resources),
        account=name_of_user(user),
        post_url=reverse("lazyauth:consent"),
        signed_request=carried.signed,
        form_token=binding.form_token(carried.secret, consent_form(checked.client, user)),
    )
    return carried.bind(request, response)


def show_consent(request: HttpRequest, pending: PendingAuthorization, secret: str) -> HttpResponse:
    """Ask the person of *pending*, after a provider authenticated them."""
    return _show(
        request,
        pending,
        resources=resource_cards(pending.resource),
        allowed=allowed_before(pending.user, client=pending.client, resources=pending.resource),
        account=name_of_user(pending.user) if pending.user else deferred_account(pending),
        post_url=reverse("lazyauth:flow", args=[pending.pk]),
        form_token=binding.form_token(secret, consent_form_of(pending)),
        device=device_card(request, pending, secret),
    )


def _show(request: HttpRequest, asked: Any, *, allowed: frozenset[str], **context: Any) -> HttpResponse:
    """Show the page for *asked*, a checked request or its row. What is new stands apart from what was allowed."""
    context |= {
        "client": card_of(asked),
        "scope_groups": scope_groups([scope for scope in asked.scopes if scope not in allowed]),
        "allowed_before": scope_lines([scope for scope in asked.scopes if scope in allowed]),
    }
    return show(request, "django_lazyauth/consent.html", context, ui_locales=asked.ui_locales)


def wants_another_account(request: HttpRequest) -> bool:
    """Say whether the person asked to go on as somebody else, on the consent page."""
    return request.POST.get("decision") == "other"


def decide(request: HttpRequest, pending: PendingAuthorization) -> HttpResponse:
    """Do what the person decided on the page."""
    decision = request.POST.get("decision")
    if decision == "allow":
        return leave(request, pending, allow(pending))
    if decision == "deny":
        return turn_away(request, pending, deny(pending))
    raise InvalidRequest(_("Choose whether to allow it or not."))
