"""The end-session endpoint, and the page that asks whether to sign out (RP-Initiated Logout 1.0)."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from django_lazyauth.errors import InvalidRequest
from django_lazyauth.models.fields import digest, uuid7
from django_lazyauth.sessions import logout
from django_lazyauth.sessions.logout import LogoutRequest
from django_lazyauth.sessions.sign_out_there import SignOutThere
from django_lazyauth.tokens.logout_token import MAX_HINT_LENGTH
from django_lazyauth.toolkit import clients

from . import binding
from .client_card import ClientCard, client_card, name_of_user
from .page import Unservable, flow_is_gone, go, page_view, show
from .request_input import read_parameters

#: RP-Initiated Logout 1.0 §2. Other parameters are ignored.
MAX_LENGTHS = {
    "id_token_hint": MAX_HINT_LENGTH,
    "logout_hint": 256,
    "client_id": clients.MAX_CLIENT_ID_LENGTH,
    "post_logout_redirect_uri": 2048,
    "state": 4096,
    "ui_locales": 128,
}


@page_view("GET", "HEAD", "POST")
def end_session_view(request: HttpRequest) -> HttpResponse:
    """GET and POST alike (§2). A form posted from the client's site comes without our Lax cookies: a GET follows."""
    parameters = _parameters(request)
    if request.method == "POST":
        return go(f"{reverse('lazyauth:end-session')}?{urlencode(parameters)}")
    asked = logout.check(parameters)
    binding.resume_session(request)
    user = _person(request)
    if logout.is_own(asked, user):
        return _sign_out(request, asked, user)
    if user is None and asked.hint is None:
        return _show_signed_out(request, asked)
    return _ask(request, asked, user)


def _parameters(request: HttpRequest) -> dict[str, str]:
    try:
        given = read_parameters(request, MAX_LENGTHS)
    except InvalidRequest as error:
        raise Unservable(error.description) from None
    return {name: value for name, value in given.items() if value}


def _person(request: HttpRequest) -> AbstractBaseUser | None:
    return request.user if isinstance(request.user, AbstractBaseUser) else None


def _purpose(account: str) -> str:
    """Return the purpose of the form. It must not speak for another account that signed in since."""
    return f"logout {account}"


def _account(user: AbstractBaseUser | None) -> str:
    return str(user.pk) if user else ""


def _card(asked: LogoutRequest) -> ClientCard | None:
    if asked.client is None:
        return None
    return client_card(asked.client, asked.redirect_uri)


def _ask(request: HttpRequest, asked: LogoutRequest, user: AbstractBaseUser | None) -> HttpResponse:
    flow, secret = uuid7(), binding.new_secret()
    response = show(
        request,
        "django_lazyauth/logout.html",
        {
            "client": _card(asked),
            "account": name_of_user(user) if user else "",
            "post_url": reverse("lazyauth:confirm-logout"),
            "flow": flow,
            "signed_request": logout.asked_of(request, asked, user).dumps(binding_digest=digest(secret)),
            "form_token": binding.form_token(secret, _purpose(_account(user))),
        },
        ui_locales=asked.ui_locales,
    )
    binding.bind(request, response, flow, secret)
    return response


@page_view("POST")
def confirm_logout_view(request: HttpRequest) -> HttpResponse:
    """Do what the person decided. Only a form of our own page has the token that belongs to the cookie."""
    try:
        flow = UUID(request.POST.get("flow", ""))
    except ValueError:
        raise InvalidRequest(flow_is_gone()) from None
    user = _person(request)
    secret = binding.secret_of(request, flow)
    if not secret:
        raise InvalidRequest(flow_is_gone())
    asked = logout.load(request.POST.get("request", ""), binding=secret)
    # A second click comes from nobody: the first one signed the person out. Doing it again changes nothing (I23).
    if not binding.form_token_matches(request, secret, _purpose(_account(user) or asked.account)):
        raise InvalidRequest(flow_is_gone())
    if request.POST.get("decision") == "stay":
        response = show(request, "django_lazyauth/still_signed_in.html", {}, ui_locales=asked.ui_locales)
        binding.release(request, response, flow)
        return response
    if request.POST.get("decision") != "leave":
        raise InvalidRequest(_("Choose whether to sign out or not."))
    response = _sign_out(request, asked, user)
    binding.release(request, response, flow)
    return response


def _sign_out(request: HttpRequest, asked: LogoutRequest, user: AbstractBaseUser | None) -> HttpResponse:
    there = logout.sign_out(request, asked, user, bindings=binding.all_secrets(request).values())
    if there is not None:
        return _show_signed_out(request, asked, there) if there.is_asked else go(there.url)
    return _finish(request, asked)


@page_view("GET", "HEAD")
def signed_out_view(request: HttpRequest) -> HttpResponse:
    """Take up somebody who signed out at a provider too (§3). The address of the client was kept here."""
    return _finish(request, logout.come_back(request, request.GET.get("state", "")))


def _finish(request: HttpRequest, asked: LogoutRequest) -> HttpResponse:
    return go(asked.return_url) if asked.redirect_uri else _show_signed_out(request, asked)


def _show_signed_out(
    request: HttpRequest, asked: LogoutRequest, there: SignOutThere | None = None
) -> HttpResponse:
    """Say that the person is signed out. Whether to go on to the provider or the client is their decision."""
    return show(
        request,
        "django_lazyauth/signed_out.html",
        {"client": _card(asked), "return_url": asked.return_url, "there": there},
        ui_locales=asked.ui_locales,
    )
