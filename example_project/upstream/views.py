"""The upstream's pages and its API."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from oauth2_provider.decorators import protected_resource

from .people import PEOPLE, notes_of


class SignInView(LoginView):
    """Django's own sign-in, with one button per demo person above the form."""

    template_name = "upstream/sign_in.html"
    extra_context = {"people": PEOPLE}


@never_cache
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "upstream/home.html")


@never_cache
@require_GET
@protected_resource(advertise_metadata=True)
def notes(request: Any) -> HttpResponse:
    """Return the notes of the person whom the access token names (RFC 6750 §2.1)."""
    username = request.resource_owner.get_username()
    return JsonResponse({"owner": username, "notes": list(notes_of(username))})
