"""The pages of the example site: a home page, and the page that a demo client receives its code on."""

from __future__ import annotations

import shlex

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "example/home.html", {"issuer": settings.LAZYAUTH["ISSUER"]})


@never_cache
@require_GET
def demo_callback(request: HttpRequest) -> HttpResponse:
    """Show what arrives at a client's redirect URI, and how a terminal redeems the code. Development only.

    A real client keeps its PKCE verifier to itself; this page knows it only where ``make serve`` says it.
    """
    arrived = {name: request.GET[name] for name in request.GET}
    command = ""
    if "code" in arrived and settings.DEMO_CODE_VERIFIER:
        form = {
            "grant_type": "authorization_code",
            "client_id": settings.DEMO_CLIENT_ID,
            "redirect_uri": request.build_absolute_uri(request.path),
            "code": arrived["code"],
            "code_verifier": settings.DEMO_CODE_VERIFIER,
        }
        fields = " ".join(f"-d {shlex.quote(f'{name}={value}')}" for name, value in form.items())
        command = f"curl {fields} {shlex.quote(request.build_absolute_uri(reverse('lazyauth:token')))}"
    return render(request, "example/demo_callback.html", {"arrived": arrived, "command": command})
