"""The cookie that binds a flow to the browser that began it, and what is derived from its secret (I7).

One cookie per flow, so tabs do not disturb each other. Our pages send no Referer. Browsers therefore send
``Origin: null`` with our forms, and Django's CSRF check would refuse them. Form tokens replace that check: nobody
can make one without the secret in the cookie.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.crypto import salted_hmac

from django_lazyauth.authorize.code import signs_in_later
from django_lazyauth.authorize.pending import Browser
from django_lazyauth.authorize.request import AuthorizationRequest
from django_lazyauth.authorize.signed_request import SignedRequest, load_signed_request
from django_lazyauth.clients.redirects import AuthorizationResponse
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.kit.network import network_of
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.models.fields import digest, uuid7, uuid7_of
from django_lazyauth.sessions import browser
from django_lazyauth.sign_in.answers import GRACE

from .design.agent import agent_of
from .page import account_url, answer_client, flow_is_gone, go

COOKIE = "lazyauth-"
#: ``<seconds since 1970>.<256 random bits>``: the oldest is deleted when there are too many.
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


def resume_session(request: HttpRequest) -> None:
    """Sign in a newly registered person, on the next visit of the browser that began the flow."""
    if not request.user.is_authenticated:
        browser.resume(request, list(all_secrets(request).values()))


def bind(
    request: HttpRequest,
    response: HttpResponseBase,
    session_id: UUID,
    secret: str,
    *,
    lifetime: timedelta | None = None,
) -> None:
    """Set or prolong the cookie of a flow, by default for ``FLOW_LIFETIME``; delete the oldest of too many."""
    name = cookie_name(session_id)
    kept = [other for other in all_secrets(request) if other != name]
    for stale in kept[MAX_COOKIES - 1 :]:
        _delete(response, stale)
    max_age = lazyauth_settings.flow_lifetime if lifetime is None else lifetime
    _set(response, name, secret, max_age)


def release(request: HttpRequest, response: HttpResponseBase, session_id: UUID) -> None:
    """Let the cookie of a flow that has ended expire when a repeated request gets its answer no more (I23)."""
    secret = secret_of(request, session_id)
    if secret:
        _set(response, cookie_name(session_id), secret, GRACE)


def delete(response: HttpResponseBase, session_id: UUID) -> None:
    """Delete the cookie of a flow that failed for good."""
    _delete(response, cookie_name(session_id))


def _delete(response: HttpResponseBase, name: str) -> None:
    # delete_cookie() leaves out Secure for this name, and browsers then keep a __Host- cookie.
    _set(response, name, "", timedelta(0))


def _set(response: HttpResponseBase, name: str, value: str, max_age: timedelta) -> None:
    response.set_cookie(
        name, value, max_age=max_age, path="/", secure=not _is_plain(), httponly=True, samesite="Lax"
    )


def form_token(secret: str, purpose: str) -> str:
    """Return the token of one form of one flow in one browser."""
    return hmac.new(secret.encode(), f"lazyauth form {purpose}".encode(), hashlib.sha256).hexdigest()


def form_token_matches(request: HttpRequest, secret: str, purpose: str) -> bool:
    """Say whether the posted form was made for this flow, browser and purpose."""
    posted = request.POST.get("form_token", "")
    return bool(secret) and hmac.compare_digest(
        posted.encode("utf-8", "replace"), form_token(secret, purpose).encode()
    )


# -- a request that has no row yet -------------------------------------------------------------------------


def browser_of(request: HttpRequest, secret: str) -> Browser:
    """Return what a row keeps of the browser that holds *secret*."""
    return Browser(digest(secret), network_of(request), agent_of(request))


class Carried:
    """A checked request on its way through a page, the id of its flow, and the secret that binds both to a browser."""

    def __init__(
        self, checked: AuthorizationRequest, session_id: UUID, secret: str, browser: Browser
    ) -> None:
        self.checked = checked
        self.session_id = session_id
        self.secret = secret
        self.browser = browser

    @classmethod
    def new(cls, request: HttpRequest, checked: AuthorizationRequest) -> Carried:
        """Begin a flow. Nothing is written: the page and its cookie carry the request."""
        secret = new_secret()
        return cls(checked, uuid7(), secret, browser_of(request, secret))

    @classmethod
    def of_form(cls, request: HttpRequest, purpose: Callable[[AuthorizationRequest], str]) -> Carried:
        """Return what a posted page carried. *purpose* returns the purpose of the form of that page.

        Raises:
            InvalidRequest: Forged, expired, or the page of another browser.
        """
        signed = load_signed_request(request.POST.get("request", ""))
        secret = secret_of(request, signed.session_id)
        if digest(secret) != signed.binding_digest or not form_token_matches(
            request, secret, purpose(signed.request)
        ):
            raise InvalidRequest(flow_is_gone())
        return cls(signed.request, signed.session_id, secret, browser_of(request, secret))

    @classmethod
    def of_session(cls, request: HttpRequest, checked: AuthorizationRequest) -> Carried:
        """Return the flow that a request begins which is good for one, in a browser where somebody is signed in.

        It is derived from both, so the same request is the same flow, also where two come at once (I23).
        """
        single_use, session_key = checked.single_use, request.session.session_key
        if single_use is None or not session_key:
            return cls.new(request, checked)
        mac = salted_hmac(
            "django_lazyauth flow of a request", f"{single_use.digest}\n{session_key}", algorithm="sha512"
        ).digest()
        seconds = int(single_use.until.timestamp())
        secret = f"{seconds}.{base64.urlsafe_b64encode(mac[:32]).decode().rstrip('=')}"
        return cls(checked, uuid7_of(seconds * 1000, mac[32:42]), secret, browser_of(request, secret))

    def of(self, checked: AuthorizationRequest) -> Carried:
        """Return the same flow with another request."""
        return Carried(checked, self.session_id, self.secret, self.browser)

    @property
    def signed(self) -> str:
        return SignedRequest(self.checked, self.session_id, self.browser.binding_digest).dumps()

    def bind(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Give the browser the cookie of this flow."""
        bind(request, response, self.session_id, self.secret)
        return response


# -- the way out of a flow -----------------------------------------------------------------------------------


def leave(request: HttpRequest, pending: PendingAuthorization, answer: AuthorizationResponse) -> HttpResponse:
    """Send the browser to the client. It keeps its binding only where the exchange will sign it in later."""
    if not signs_in_later(pending):
        return turn_away(request, pending, answer)
    response = answer_client(request, answer, ui_locales=pending.ui_locales)
    secret = secret_of(request, pending.pk)
    bind(request, response, pending.pk, secret, lifetime=lazyauth_settings.code_retention)
    return response


def turn_away(
    request: HttpRequest, pending: PendingAuthorization, answer: AuthorizationResponse
) -> HttpResponse:
    """Send the browser to the client. The flow has ended, and its cookie stays for the grace of a repeated request."""
    response = answer_client(request, answer, ui_locales=pending.ui_locales)
    release(request, response, pending.pk)
    return response


def turn_away_at_once(
    request: HttpRequest, pending: PendingAuthorization, answer: AuthorizationResponse
) -> HttpResponse:
    """Send the browser to the client after a mix-up. Nothing is answered twice, and the cookie is deleted."""
    response = answer_client(request, answer, ui_locales=pending.ui_locales)
    delete(response, pending.pk)
    return response


def back_to_account(request: HttpRequest, pending: PendingAuthorization, done: str) -> HttpResponse:
    """Send the person back to their account page, which shows how it went. The flow has ended."""
    response = go(account_url(done))
    release(request, response, pending.pk)
    return response
