"""Serves the logo of a client. Its bytes are a stranger's: nothing in them runs, and no page is made of them."""

from __future__ import annotations

from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.models import ClientLogo
from django_lazyauth.toolkit import clients
from django_lazyauth.web.json_endpoint import json_endpoint

#: Seconds that browsers keep a logo. Another picture has another address.
MAX_AGE: Final = 365 * 24 * 3600
#: Characters of the digest in the address.
VERSION_LENGTH: Final = 16


def logo_url(client: Any) -> str:
    """Return the address of the logo of *client*; empty where none was fetched. Nobody asks whether it is verified."""
    registration = clients.registration_of(client)
    if registration is None or not registration.logo_digest:
        return ""
    return reverse("lazyauth:client-logo", args=[registration.pk, registration.logo_digest[:VERSION_LENGTH]])


@json_endpoint("GET", "HEAD", readers_of=None)
def client_logo_view(request: HttpRequest, key: str, version: str) -> HttpResponse:
    """Return the picture of that version, the same for everybody, as long as an operator stands for the client."""
    logo = (
        ClientLogo.objects.select_related("registration__client")
        .filter(registration=int(key), registration__logo_digest__startswith=version)
        .first()
    )
    if logo is None or logo.registration.disabled_at or not clients.is_verified(logo.registration.client):
        raise Http404
    response = HttpResponse(bytes(logo.content), content_type=logo.media_type)
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE}, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
