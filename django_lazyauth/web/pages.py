"""Render a page: what a person sees of a client, in their language, with headers that keep it theirs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext

from django_lazyauth.clients.redirects import host_of
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderError
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.toolkit import clients

MAX_NAME_LENGTH = 80
#: Letters as they are; no controls, no invisible format characters (bidi overrides), no private use.
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class ClientCard:
    """Who wants in, as far as anybody can tell."""

    name: str
    host: str
    is_unverified: bool


def client_card(client: Any, redirect_uri: str) -> ClientCard:
    """Return what to show of *client*: its own words cleaned, and the host that the answer goes to."""
    said = unicodedata.normalize("NFC", client.name or client.client_id)
    name = "".join(
        character for character in said if unicodedata.category(character) not in HIDDEN_CATEGORIES
    )
    name = " ".join(name.split())
    if len(name) > MAX_NAME_LENGTH:
        name = name[: MAX_NAME_LENGTH - 1] + "…"
    return ClientCard(name or client.client_id, host_of(redirect_uri), not clients.is_verified(client))


def scope_lines(scopes: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (scope, what it allows) for the consent page; a scope without words stands for itself."""
    return [(scope, _words_for(scope)) for scope in scopes]


def _words_for(scope: str) -> str:
    words = lazyauth_settings.scopes
    kind, _colon, provider = scope.partition(":")
    if scope in words or kind != "upstream":
        return str(words.get(scope, scope))
    try:
        name = get_provider(provider).display_name
    except ProviderError:
        name = provider
    return gettext("Act as you at %s: it gets a token of yours there") % name


def content_security_policy() -> str:
    """Our own styles and nothing else.

    No ``form-action``: browsers apply it to every redirect after a form, and the way goes through upstreams
    to the client, to hosts that nobody can list beforehand.
    """
    static = urlsplit(settings.STATIC_URL or "")
    styles = f"'self' {static.scheme}://{static.netloc}" if static.netloc else "'self'"
    return f"default-src 'none'; style-src {styles}; img-src {styles} data:; base-uri 'none'; frame-ancestors 'none'"


def speaking(ui_locales: str) -> translation.override:
    """Speak the first of *ui_locales* that we speak (OpenID Connect Core §3.1.2.1), else what is spoken."""
    return translation.override(_language(ui_locales) or translation.get_language())


def show(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    ui_locales: str = "",
) -> HttpResponse:
    """Return the rendered page, in the language that :func:`speaking` chooses."""
    with speaking(ui_locales):
        response = render(request, template, dict(context), status=status)
        response.headers["Content-Language"] = translation.get_language() or "en"
    return guard(response)


def guard(response: HttpResponse) -> HttpResponse:
    """Add the headers of every answer that belongs to a sign-in."""
    response.headers["Content-Security-Policy"] = content_security_policy()
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def show_error(request: HttpRequest, message: str, *, status: int = 400) -> HttpResponse:
    """Return a page for the person where there is no client that could be told."""
    return show(request, "django_lazyauth/error.html", {"message": message}, status=status)


def _language(ui_locales: str) -> str | None:
    for tag in ui_locales.split()[:10]:
        try:
            return translation.get_supported_language_variant(tag.lower())
        except LookupError:
            continue
    return None
