"""Send the browser out of a flow: to the client with a code or an error, or back to the account page."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.authorize.code import signs_in_later
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import PendingAuthorization

from . import binding
from .page import go


def leave(request: HttpRequest, pending: PendingAuthorization, url: str) -> HttpResponse:
    """Send the browser to the client. It keeps its binding only where the exchange will sign it in later."""
    if not signs_in_later(pending):
        return turn_away(request, pending, url)
    response = go(url)
    secret = binding.secret_of(request, pending.pk)
    binding.bind(request, response, pending.pk, secret, lifetime=lazyauth_settings.code_retention)
    return response


def turn_away(request: HttpRequest, pending: PendingAuthorization, url: str) -> HttpResponse:
    """Send the browser to *url*. The flow has ended, and its cookie stays for the grace of a repeated request."""
    response = go(url)
    binding.release(request, response, pending.pk)
    return response


def turn_away_at_once(pending: PendingAuthorization, url: str) -> HttpResponse:
    """Send the browser to *url* after a mix-up. Nothing is answered twice, and the cookie is deleted."""
    response = go(url)
    binding.delete(response, pending.pk)
    return response


def back_to_account(request: HttpRequest, pending: PendingAuthorization, done: str) -> HttpResponse:
    """Send the person back to their account page, which shows how it went. The flow has ended."""
    return turn_away(request, pending, account_url(done))


def account_url(done: str) -> str:
    """Return the address of the account page that shows the message *done*."""
    return f"{reverse('lazyauth:account')}?{urlencode({'done': done})}"
