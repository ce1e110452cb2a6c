"""Signals of django-oauth-toolkit that this app sends: hosts may listen to them."""

from __future__ import annotations

from django.http import HttpRequest

from .models import AccessToken
from .moved import dot_module

app_authorized = dot_module("signals", moves_to="core").app_authorized


def send_app_authorized(http_request: HttpRequest, access_token: AccessToken) -> None:
    """Tell receivers that a client was given *access_token*. It is committed: no receiver can undo it."""
    app_authorized.send_robust(sender=type(access_token), request=http_request, token=access_token)
