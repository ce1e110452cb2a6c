"""The account page: where a person is signed in, how they can sign in, what they allowed, and buttons to end each.

The page signs people in as a client of our own. A site without a login page of its own needs none.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from django_lazyauth.authorize.pending import keep_link
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.models.fields import uuid7
from django_lazyauth.providers.registry import configured_providers
from django_lazyauth.sessions import browser, end
from django_lazyauth.sessions.listing import Session
from django_lazyauth.sessions.person import PersonKept
from django_lazyauth.sign_in import account, identities, sso_domain
from django_lazyauth.sign_in.own import password as own_password
from django_lazyauth.toolkit import clients

from . import binding
from .choose import chosen_provider, typed_address
from .client_card import client_card, name_of_provider, name_of_user, resource_cards, scope_lines
from .design.agent import agent_words
from .flow import send
from .page import ErrorKind, account_url, go, page_view, show, show_error
from .personal import data, password
from .personal.questions import question_of
from .personal.telling import messages_of, url_after, words_after

#: Sessions that one page lists.
PAGE_LENGTH: Final = 50


def _form_token(request: HttpRequest, user: AbstractBaseUser) -> str:
    """Return the token of this page's forms. Nobody can make one without the secret in the session cookie."""
    value = f"{request.session.session_key}\n{user.pk}"
    return salted_hmac("django_lazyauth.account", value, algorithm="sha256").hexdigest()


@page_view("GET", "HEAD", "POST", keeps_opener=False)
def account_view(request: HttpRequest) -> HttpResponse:
    """Show the page, or do what a form of it asks for."""
    binding.resume_session(request)
    user = browser.current_user(request)
    if user is None:
        return go(reverse("lazyauth:account-sign-in"))
    if request.method != "POST":
        return _show(request, user)
    try:
        return _take_form(request, user)
    except InvalidRequest as error:
        back = (reverse("lazyauth:account"), _("Back to your account"))
        return show_error(request, error.description, way_on=back, code=error.error)


def _take_form(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
    posted = request.POST.get("form_token", "").encode("utf-8", "replace")
    if not hmac.compare_digest(posted, _form_token(request, user).encode()):
        raise InvalidRequest(_("This page is too old. Nothing was changed."))
    act = ACTIONS.get(request.POST.get("action", ""))
    if act is None:
        raise InvalidRequest(_("The form cannot be read."))
    asked = question_of(request, user)
    if asked is not None and "sure" not in request.POST:
        context = {
            "asked": asked,
            "action": request.POST["action"],
            "post_url": reverse("lazyauth:account"),
            "back_url": account_url(section=asked.section),
            "form_token": _form_token(request, user),
        }
        return show(request, "django_lazyauth/account_confirm.html", context)
    try:
        done = act(request, user)
    except identities.ReauthenticationRequired:
        done = "again"
    name = asked.name if asked else ""
    if done == "unlinked" and browser.current_user(request) is None:
        # It was the account that this browser was signed in with.
        said = {"said": words_after(done, name), "sign_in_url": reverse("lazyauth:account-sign-in")}
        return show(request, "django_lazyauth/signed_out.html", said)
    if isinstance(done, str):
        return go(url_after(user, done, name))
    return done


# -- the page ----------------------------------------------------------------------------------------------


def _show(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
    found = account.of_user(user)
    page = Paginator(found.sessions, PAGE_LENGTH).get_page(request.GET.get("page"))
    mark = browser.sign_in_of(request).mark
    last_used: dict[str, datetime] = {}
    for session in found.sessions:
        last_used.setdefault(session.client.client_id, session.last_used_at)
    connected = {row.provider for row in found.identities}
    password, has_password = own_password.provider_name(), own_password.has_one(user)
    context: dict[str, Any] = {
        "account": name_of_user(user),
        "page": page,
        "sessions": [_session_line(session, mark) for session in page],
        "identities": _identity_lines(found, password if has_password else ""),
        "allowed": [_allowed_line(allowed, last_used) for allowed in found.allowed],
        "connected": [
            {"name": name_of_provider(row.provider), "state": row.state, "since": row.since}
            for row in found.connected
        ],
        "is_fresh": identities.is_fresh(request),
        "providers": [
            provider
            for provider in configured_providers()
            if provider.is_upstream and provider.name not in connected
        ],
        "offers_sso": sso_domain.is_offered(),
        "password_provider": password,
        "has_password": has_password,
        # The host's own, which no connected account is for.
        "has_other_password": password and has_password and password not in connected,
        "post_url": reverse("lazyauth:account"),
        "sign_in_url": f"{reverse('lazyauth:account-sign-in')}?again=1",
        "sign_out_url": reverse("lazyauth:end-session"),
        "form_token": _form_token(request, user),
        **messages_of(request, user),
    }
    return show(request, "django_lazyauth/account.html", context)


def _session_line(session: Session, mark: str) -> dict[str, Any]:
    return {
        "id": session.session_id,
        "card": client_card(session.client),
        "provider": name_of_provider(session.provider),
        "is_here": bool(mark) and session.mark == mark,
        "agent": agent_words(session.agent),
        "network": session.network,
        "since": session.since,
        "last_used_at": session.last_used_at,
    }


def _allowed_line(allowed: account.Allowed, last_used: dict[str, datetime]) -> dict[str, Any]:
    return {
        "card": client_card(allowed.client),
        "client": allowed.client,
        "scopes": scope_lines(allowed.scopes),
        "resources": resource_cards(allowed.resources),
        "last_used_at": last_used.get(allowed.client.client_id),
    }


def _identity_lines(found: account.Account, password: str) -> list[dict[str, Any]]:
    """Return a line for each identity. The first of the provider *password* offers to change the password."""
    changes = next((row.pk for row in found.identities if password and row.provider == password), None)
    return [
        _identity_line(row, row.pk in found.removable) | {"changes_password": row.pk == changes}
        for row in found.identities
    ]


def _identity_line(row: ProviderIdentity, is_removable: bool) -> dict[str, Any]:
    return {
        "id": row.pk,
        "provider": row.sso_name or name_of_provider(row.provider),
        "domain": row.sso_domain,
        "who": row.email or row.name or row.subject,
        "since": row.created_at,
        "is_removable": is_removable,
    }


# -- signing in for it ---------------------------------------------------------------------------------------


def _return_url() -> str:
    return lazyauth_settings.issuer_origin + reverse("lazyauth:account-return")


def _client() -> clients.Client:
    # The name is stored once for people of all languages, so it is the host and not a word.
    name = urlsplit(lazyauth_settings.issuer).netloc
    return clients.account_client(name=name, redirect_uri=_return_url())


@page_view("GET", "HEAD", keeps_opener=False)
def account_sign_in_view(request: HttpRequest) -> HttpResponse:
    """Begin a sign-in for this page. With ``again``, a person who is signed in has to sign in again."""
    query = {
        "response_type": "code",
        "client_id": _client().client_id,
        "redirect_uri": _return_url(),
        "scope": "openid",
        # The verifier is not kept: the code is never redeemed.
        "code_challenge": secrets.token_urlsafe(32),
        "code_challenge_method": "S256",
    }
    if request.GET.get("again"):
        query["prompt"] = "login"
    return go(f"{reverse('lazyauth:authorize')}?{urlencode(query)}")


@page_view("GET", "HEAD", keeps_opener=False)
def account_return_view(request: HttpRequest) -> HttpResponse:
    """Take the person back after that sign-in. The page uses the browser's session; the code is left to expire."""
    if browser.current_user(request) is not None:
        return go(reverse("lazyauth:account"))
    if request.GET.get("error"):
        sign_in = (reverse("lazyauth:account-sign-in"), _("Sign in"))
        return show_error(request, _("You are not signed in."), kind=ErrorKind.CANCELLED, way_on=sign_in)
    return show_error(request, _("You have no account here yet. Start from the application you want to use."))


# -- what its forms ask for --------------------------------------------------------------------------------
# Each returns what the page says afterwards (`personal/telling`), or another page.


def _end(request: HttpRequest, user: AbstractBaseUser) -> str:
    try:
        end.end_session_of(user, UUID(request.POST.get("session", "")))
    except ValueError:
        raise InvalidRequest(_("The form cannot be read.")) from None
    except end.NoSuchSession:
        return "gone"
    return "ended"


def _end_all(request: HttpRequest, user: AbstractBaseUser) -> str:
    end.end_all_sessions(user)
    return "ended_all"


def _withdraw(request: HttpRequest, user: AbstractBaseUser) -> str:
    client = clients.load_client(request.POST.get("client", ""))
    if client is None:
        return "gone"
    end.withdraw(user, client)
    return "withdrawn"


def _unlink(request: HttpRequest, user: AbstractBaseUser) -> str:
    number = request.POST.get("identity", "")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise InvalidRequest(_("The form cannot be read."))
    identities.require_fresh(request)
    try:
        identities.unlink(user, int(number))
    except identities.NoSuchIdentity:
        return "gone"
    except identities.LastWayIn:
        return "last"
    return "unlinked"


def _link(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse | str:
    name = chosen_provider(request)
    if not name:
        return "closed"
    session_id, secret = uuid7(), binding.new_secret()
    pending = keep_link(
        request,
        user,
        client=_client(),
        redirect_uri=_return_url(),
        session_id=session_id,
        browser=binding.browser_of(request, secret),
        login_hint=typed_address(request),
    )
    response = send(request, pending, name, secret)
    binding.bind(request, response, session_id, secret)
    return response


def _password(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse | str:
    return password.change(request, user, form_token=_form_token(request, user))


def _delete(request: HttpRequest, user: AbstractBaseUser) -> HttpResponse | str:
    try:
        return data.delete(request, user, form_token=_form_token(request, user))
    except PersonKept:
        return "kept"


ACTIONS: Final[dict[str, Callable[[HttpRequest, AbstractBaseUser], HttpResponse | str]]] = {
    "end": _end,
    "end_all": _end_all,
    "withdraw": _withdraw,
    "unlink": _unlink,
    "link": _link,
    "password": _password,
    "export": data.export,
    "delete": _delete,
}
