"""The cookie that binds a flow to the browser that began it, and the form tokens derived from it (I7).

One cookie per flow, so tabs do not disturb each other. Our pages send no Referer, which makes browsers send
``Origin: null`` with our forms and Django's CSRF check refuse them; the form token does that work instead:
nobody can make one without the secret in the cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from django_lazyauth.conf import lazyauth_settings

COOKIE = "lazyauth-"
#: ``<seconds since 1970>.<256 random bits>``: the age tells which to drop when there are too many.
VALUE = re.compile(r"(?P<since>\d{1,12})\.[A-Za-z0-9_-]{43}\Z")
#: Browsers and servers bound the size of the Cookie header; 12 of these are 1.5 KB.
MAX_COOKIES = 12


def cookie_name(session_id: UUID) -> str:
    """Return the cookie's name; without ``__Host-`` only on plain-HTTP loopback in DEBUG."""
    return f"{_prefix()}{COOKIE}{session_id.hex}"


def _is_plain() -> bool:
    return settings.DEBUG and lazyauth_settings.issuer_is_loopback


def _prefix() -> str:
    return "" if _is_plain() else "__Host-"


def new_secret() -> str:
    return f"{int(time.time())}.{secrets.token_urlsafe(32)}"


def secret_of(request: HttpRequest, session_id: UUID) -> str:
    """Return the secret that this browser holds for a flow, or an empty text."""
    value = request.COOKIES.get(cookie_name(session_id), "")
    return value if VALUE.match(value) else ""


def all_secrets(request: HttpRequest) -> dict[str, str]:
    """Return every binding that this browser sent, by cookie name, newest first."""
    start = _prefix() + COOKIE
    found = [
        (int(match["since"]), name, value)
        for name, value in request.COOKIES.items()
        if name.startswith(start) and (match := VALUE.match(value))
    ]
    return {name: value for _, name, value in sorted(found, reverse=True)}


def bind(
    request: HttpRequest, response: HttpResponseBase, session_id: UUID, secret: str, *, max_age: int
) -> None:
    """Set or prolong the cookie of a flow (*max_age* in seconds), and drop the oldest of too many."""
    name = cookie_name(session_id)
    kept = [other for other in all_secrets(request) if other != name]
    for stale in kept[MAX_COOKIES - 1 :]:
        _delete(response, stale)
    response.set_cookie(
        name, secret, max_age=max_age, path="/", secure=not _is_plain(), httponly=True, samesite="Lax"
    )


def release(response: HttpResponseBase, session_id: UUID) -> None:
    """Delete the cookie of a flow that is over."""
    _delete(response, cookie_name(session_id))


def _delete(response: HttpResponseBase, name: str) -> None:
    # Not delete_cookie(): it leaves out Secure for a name it does not know, and browsers then keep __Host-.
    response.set_cookie(name, "", max_age=0, path="/", secure=not _is_plain(), httponly=True, samesite="Lax")


def form_token(secret: str, purpose: str) -> str:
    """Return the token of one form of one flow in one browser."""
    return hmac.new(secret.encode(), f"lazyauth form {purpose}".encode(), hashlib.sha256).hexdigest()


def form_token_matches(request: HttpRequest, secret: str, purpose: str) -> bool:
    """Say whether the posted form was made for this flow, browser and purpose."""
    posted = request.POST.get("form_token", "")
    return bool(secret) and hmac.compare_digest(
        posted.encode("utf-8", "replace"), form_token(secret, purpose).encode()
    )
