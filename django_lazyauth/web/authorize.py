"""The authorization endpoint, and the two forms of a request that has no row yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from django_lazyauth.authorize.code import allow
from django_lazyauth.authorize.consent import consent_needed
from django_lazyauth.authorize.pending import keep_request
from django_lazyauth.authorize.request import (
    AuthorizationRefused,
    AuthorizationRequest,
    validate_authorization,
)
from django_lazyauth.clients import answer, document, host_clients
from django_lazyauth.errors import (
    ConsentRequired,
    InteractionRequired,
    InvalidGrant,
    LoginRequired,
    ProviderError,
    TemporarilyUnavailable,
)
from django_lazyauth.kit.network import network_of
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import browser
from django_lazyauth.sign_in import chain, sso_domain
from django_lazyauth.sign_in.complete import adopt_signed_in
from django_lazyauth.toolkit import clients

from . import binding
from .carried import Carried
from .decorators import page_view
from .flow import (
    account_of,
    chosen_provider,
    consent_form,
    decide,
    domain_is_closed,
    next_step,
    send,
    show_consent,
    way_is_closed,
)
from .pages import client_card, show, show_error
from .redirects import go


@page_view("GET", "HEAD", "POST")
def authorize_view(request: HttpRequest) -> HttpResponse:
    """GET and POST alike (OpenID Connect Core §3.1.2.1). A GET writes nothing, so it may come twice."""
    if request.method == "POST":
        # A form posted from the client's site comes without our Lax cookies; the GET that follows has them.
        query = urlencode([(name, value) for name, values in request.POST.lists() for value in values])
        return go(f"{reverse('lazyauth:authorize')}?{query}")
    try:
        checked = _check(request)
    except AuthorizationRefused as refused:
        return _refuse(request, refused)
    try:
        return _begin(request, checked)
    except (LoginRequired, ConsentRequired, InteractionRequired, TemporarilyUnavailable) as error:
        return go(answer.refusal(checked.redirect_uri, error, state=checked.state))


def _check(request: HttpRequest) -> AuthorizationRequest:
    """Return the checked request; of a client that a host's store keeps elsewhere, or a document, too."""
    client_id = request.GET.get("client_id", "")
    document.look_up(client_id, request, network=network_of(request))
    try:
        return validate_authorization(request.GET)
    except AuthorizationRefused as refused:
        if refused.redirect_uri is not None or not host_clients.write_row(client_id):
            raise
    return validate_authorization(request.GET)


def _refuse(request: HttpRequest, refused: AuthorizationRefused) -> HttpResponse:
    if refused.redirect_uri is None:
        message = _("The application sent a request that cannot be served: %s")
        return show_error(request, message % refused.description)
    return go(
        answer.error_answer(
            refused.redirect_uri, error=refused.error, description=refused.description, state=refused.state
        )
    )


def _begin(request: HttpRequest, checked: AuthorizationRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        browser.resume(request, list(binding.all_secrets(request).values()))
    user = _usable_user(request, checked)
    if "none" in checked.prompts:
        return _answer_silently(request, checked, user)
    if user is not None and not checked.prompts & {"login", "select_account"}:
        return _go_on_as(request, checked, user)
    if user is None and (only := _straight_to(checked)):
        return _go_straight(request, checked, only)
    return _show_choices(request, Carried.new(request, checked), user=user)


def _usable_user(request: HttpRequest, checked: AuthorizationRequest) -> AbstractBaseUser | None:
    """Return who is signed in here, unless the request asks for somebody else or for a fresher sign-in."""
    user = request.user
    if not isinstance(user, AbstractBaseUser) or not user.is_active:
        return None
    if checked.subject_hint is not None and checked.subject_hint != str(user.pk):
        return None
    since, _amr, _acr = browser.signed_in_since(request)
    if checked.max_age is not None and timezone.now() - since > timedelta(seconds=checked.max_age):
        return None
    return user


def _answer_silently(
    request: HttpRequest, checked: AuthorizationRequest, user: AbstractBaseUser | None
) -> HttpResponse:
    """``prompt=none`` never shows a page (OpenID Connect Core §3.1.2.6)."""
    if user is None:
        raise LoginRequired
    if chain.asked_for(checked.client, checked.scopes):
        # A new session holds no tokens yet: every leg would have to show itself.
        raise InteractionRequired
    if _needs_consent(checked, user):
        raise ConsentRequired
    return _issue_at_once(request, checked, user)


def _needs_consent(checked: AuthorizationRequest, user: AbstractBaseUser) -> bool:
    return consent_needed(
        user,
        client=checked.client,
        scopes=checked.scopes,
        resources=checked.resources,
        prompts=checked.prompts,
    )


def _go_on_as(
    request: HttpRequest,
    checked: AuthorizationRequest,
    user: AbstractBaseUser,
    *,
    carried: Carried | None = None,
) -> HttpResponse:
    """*carried* is what the person acted on: they have seen which application it is."""
    if chain.asked_for(checked.client, checked.scopes):
        return _connect_as(request, checked, user, carried)
    if _needs_consent(checked, user):
        return _show_consent(request, Carried.new(request, checked), user)
    return _issue_at_once(request, checked, user)


def _connect_as(
    request: HttpRequest, checked: AuthorizationRequest, user: AbstractBaseUser, carried: Carried | None
) -> HttpResponse:
    """Go through the chain as who is signed in here; nobody is sent away before they saw for whom."""
    if carried is None:
        carried = Carried.new(request, checked)
        if _needs_consent(checked, user):
            return _show_choices(request, carried, user=user)
    pending = keep_request(checked, session_id=carried.session_id, browser=carried.browser)
    return carried.bind(request, next_step(request, _adopt(request, pending, user), carried.secret))


def _issue_at_once(
    request: HttpRequest, checked: AuthorizationRequest, user: AbstractBaseUser
) -> HttpResponse:
    carried = Carried.new(request, checked)
    pending = keep_request(checked, session_id=carried.session_id, browser=carried.browser)
    return go(allow(_adopt(request, pending, user)))


def _adopt(
    request: HttpRequest, pending: PendingAuthorization, user: AbstractBaseUser
) -> PendingAuthorization:
    since, amr, acr = browser.signed_in_since(request)
    return adopt_signed_in(pending, user, auth_time=since, amr=amr, acr=acr)


def _straight_to(checked: AuthorizationRequest) -> str:
    """Return the provider to go to without a page: an operator's client, and nothing to choose.

    There is nothing to choose where the client names somebody whose domain signs its people in.
    """
    if clients.is_self_registered(checked.client) or "select_account" in checked.prompts:
        return ""
    hinted = sso_domain.provider_name_of(checked.login_hint)
    if hinted and chain.is_way_in(hinted, checked.client, checked.scopes):
        return hinted
    providers = chain.ways_in(checked.client, checked.scopes)
    if len(providers) != 1 or not providers[0].is_upstream or sso_domain.is_offered():
        return ""
    return providers[0].name


def _go_straight(request: HttpRequest, checked: AuthorizationRequest, provider_name: str) -> HttpResponse:
    carried = Carried.new(request, checked)
    pending = keep_request(checked, session_id=carried.session_id, browser=carried.browser)
    return carried.bind(request, send(request, pending, provider_name, carried.secret))


# -- choosing a way to sign in ---------------------------------------------------------------------------


def _show_choices(
    request: HttpRequest, carried: Carried, *, user: AbstractBaseUser | None, notice: str | Promise = ""
) -> HttpResponse:
    checked = carried.checked
    response = show(
        request,
        "django_lazyauth/choose.html",
        {
            "client": client_card(checked.client, checked.redirect_uri),
            "providers": chain.ways_in(checked.client, checked.scopes),
            "account": account_of(user) if user is not None and "login" not in checked.prompts else "",
            "is_new": "create" in checked.prompts,
            "offers_sso": sso_domain.is_offered(),
            "typed": checked.login_hint if sso_domain.provider_name_of(checked.login_hint) else "",
            "post_url": reverse("lazyauth:choose"),
            "signed_request": carried.signed,
            "form_token": binding.form_token(carried.secret, "choose"),
            "notice": notice,
        },
        ui_locales=checked.ui_locales,
    )
    return carried.bind(request, response)


@page_view("POST")
def choose_view(request: HttpRequest) -> HttpResponse:
    """The person acted on the first page: now the request becomes a row."""
    carried = Carried.of_form(request, lambda _: "choose")
    checked = carried.checked
    user = _usable_user(request, checked)
    if request.POST.get("account") == "current" and user is not None and "login" not in checked.prompts:
        chosen = replace(checked, prompts=checked.prompts - {"select_account"})
        return _go_on_as(request, chosen, user, carried=carried)
    provider_name = chosen_provider(request)
    if not provider_name:
        return _show_choices(request, carried, user=user, notice=domain_is_closed())
    if provider_name.startswith(SSO_PREFIX):
        checked = _with_hint(checked, request.POST.get("domain", ""))
    try:
        get_provider(provider_name)
    except ProviderError:
        return _show_choices(request, carried, user=user, notice=way_is_closed())
    pending = keep_request(checked, session_id=carried.session_id, browser=carried.browser)
    return carried.bind(request, send(request, pending, provider_name, carried.secret))


def _with_hint(checked: AuthorizationRequest, typed: str) -> AuthorizationRequest:
    """Hand an address on to its domain's provider, so that nobody types it twice."""
    typed = typed.strip()
    return replace(checked, login_hint=typed) if "@" in typed and len(typed) <= 256 else checked


# -- consent of a person who is signed in here already ---------------------------------------------------


def _show_consent(request: HttpRequest, carried: Carried, user: AbstractBaseUser) -> HttpResponse:
    checked = carried.checked
    response = show_consent(
        request,
        client=checked.client,
        redirect_uri=checked.redirect_uri,
        scopes=checked.scopes,
        resources=checked.resources,
        ui_locales=checked.ui_locales,
        account=account_of(user),
        post_url=reverse("lazyauth:consent"),
        signed_request=carried.signed,
        # The page names an account: a form of it must not speak for another that signed in since.
        form_token=binding.form_token(carried.secret, consent_form(checked.client, user)),
    )
    return carried.bind(request, response)


@page_view("POST")
def consent_view(request: HttpRequest) -> HttpResponse:
    """Take the decision; only now the request becomes a row."""
    user = request.user
    if not isinstance(user, AbstractBaseUser) or not user.is_active:
        raise InvalidGrant
    carried = Carried.of_form(request, lambda checked: consent_form(checked.client, user))
    pending = keep_request(carried.checked, session_id=carried.session_id, browser=carried.browser)
    return decide(request, _adopt(request, pending, user))
