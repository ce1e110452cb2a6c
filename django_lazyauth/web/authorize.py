"""The authorization endpoint and the pages that lead from it to a code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import (
    ConsentRequired,
    InvalidGrant,
    InvalidRequest,
    LoginRequired,
    OAuthError,
    ProviderError,
    TemporarilyUnavailable,
)
from django_lazyauth.flows import answer, authorize, callback, register, sign_in
from django_lazyauth.flows.authorize import Browser
from django_lazyauth.flows.signed_request import SignedRequest, load_signed_request
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.models.fields import digest, uuid7
from django_lazyauth.providers.base import Page, Redirect
from django_lazyauth.providers.registry import configured_providers, get_provider
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.authorization import (
    AuthorizationRefused,
    AuthorizationRequest,
    has_bad_characters,
    validate_authorization,
)

from . import binding
from .network import network_of
from .pages import client_card, scope_lines, show, show_error
from .redirects import go

View = Callable[..., HttpResponse]
MAX_FORM_FIELD = 64 * 1024


def page_view(*methods: str) -> Callable[[View], View]:
    """Make a view of a page: our own form tokens instead of Django's, no transaction around it."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            for name, values in request.POST.lists():
                if has_bad_characters(name) or any(
                    has_bad_characters(value) or len(value) > MAX_FORM_FIELD for value in values
                ):
                    return show_error(request, _("The form holds characters that it cannot hold."))
            try:
                return view(request, *args, **kwargs)
            except InvalidRequest as error:
                return show_error(request, error.description)
            except InvalidGrant as error:
                return show_error(request, error.description or _GONE())
            except TemporarilyUnavailable as error:
                response = show_error(request, error.description, status=503)
                response.headers["Retry-After"] = "60"
                return response

        # The outermost decorators: what Django reads from the view function itself.
        return login_not_required(
            csrf_exempt(transaction.non_atomic_requests(require_http_methods(list(methods))(guarded)))
        )

    return decorate


def _GONE() -> str:  # noqa: N802 - reads as the constant it would be, were it not translated per request
    return _("This sign-in is over, or was begun in another browser. Go back to the application and start again.")


# -- the endpoint ----------------------------------------------------------------------------------------


@page_view("GET", "HEAD", "POST")
def authorize_view(request: HttpRequest) -> HttpResponse:
    """GET and POST alike (OpenID Connect Core §3.1.2.1). A GET writes nothing, so it may come twice."""
    if request.method == "POST":
        # A form posted from the client's site comes without our Lax cookies; the GET that follows has them.
        query = urlencode([(name, value) for name, values in request.POST.lists() for value in values])
        return go(f"{reverse('lazyauth:authorize')}?{query}")
    try:
        checked = validate_authorization(request)
    except AuthorizationRefused as refused:
        return _refuse(request, refused)
    try:
        return _begin(request, checked)
    except OAuthError as error:
        return go(answer.refusal(checked.redirect_uri, error, state=checked.state))


def _refuse(request: HttpRequest, refused: AuthorizationRefused) -> HttpResponse:
    if refused.redirect_uri is None:
        return show_error(request, _("The application sent a request that cannot be served: %s") % refused.description)
    return go(
        answer.error_answer(
            refused.redirect_uri, error=refused.error, description=refused.description, state=refused.state
        )
    )


def _begin(request: HttpRequest, checked: AuthorizationRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        sign_in.resume(request, list(binding.all_secrets(request).values()))
    user = _usable_user(request, checked)
    if "none" in checked.prompts:
        return _answer_silently(request, checked, user)
    if user is not None and not checked.prompts & {"login", "select_account"}:
        return _go_on_as(request, checked, user)
    providers = configured_providers()
    direct = providers[0] if len(providers) == 1 and providers[0].is_upstream else None
    if direct is not None and not clients.is_self_registered(checked.client) and user is None:
        return _go_straight(request, checked, direct.name)
    return _show_choices(request, _carry(request, checked), user=user)


def _usable_user(request: HttpRequest, checked: AuthorizationRequest) -> AbstractBaseUser | None:
    """Return who is signed in here, unless the request asks for somebody else or for a fresher sign-in."""
    user = request.user
    if not isinstance(user, AbstractBaseUser) or not user.is_active:
        return None
    if checked.subject_hint is not None and checked.subject_hint != str(user.pk):
        return None
    since, _amr, _acr = sign_in.signed_in_since(request)
    if checked.max_age is not None and timezone.now() - since > timedelta(seconds=checked.max_age):
        return None
    return user


def _answer_silently(
    request: HttpRequest, checked: AuthorizationRequest, user: AbstractBaseUser | None
) -> HttpResponse:
    """``prompt=none`` never shows a page (OpenID Connect Core §3.1.2.6)."""
    if user is None:
        raise LoginRequired
    if _needs_consent(checked, user):
        raise ConsentRequired
    return _issue_at_once(request, checked, user)


def _needs_consent(checked: AuthorizationRequest, user: AbstractBaseUser) -> bool:
    return authorize.consent_needed(
        user,
        client=checked.client,
        scopes=checked.scopes,
        resources=checked.resources,
        prompts=checked.prompts,
    )


def _go_on_as(request: HttpRequest, checked: AuthorizationRequest, user: AbstractBaseUser) -> HttpResponse:
    if _needs_consent(checked, user):
        return _show_consent_of_signed_in(request, _carry(request, checked), user)
    return _issue_at_once(request, checked, user)


def _issue_at_once(request: HttpRequest, checked: AuthorizationRequest, user: AbstractBaseUser) -> HttpResponse:
    secret = binding.new_secret()
    pending = authorize.keep(checked, session_id=uuid7(), browser=Browser(digest(secret), network_of(request)))
    return go(authorize.allow(_adopt(request, pending, user)))


def _adopt(request: HttpRequest, pending: PendingAuthorization, user: AbstractBaseUser) -> PendingAuthorization:
    since, amr, acr = sign_in.signed_in_since(request)
    return authorize.adopt_signed_in(pending, user, auth_time=since, amr=amr, acr=acr)


def _go_straight(request: HttpRequest, checked: AuthorizationRequest, provider_name: str) -> HttpResponse:
    """An operator's client and one provider: there is nothing to choose."""
    carried = _carry(request, checked)
    pending = authorize.keep(checked, session_id=carried.session_id, browser=carried.browser)
    response = _send(request, pending, provider_name, carried.secret)
    return carried.bind(request, response)


# -- a request on its way through the page -----------------------------------------------------------------


class Carried:
    """A checked request, the flow it will be, and the secret that ties it to this browser."""

    def __init__(self, checked: AuthorizationRequest, session_id: UUID, secret: str, network: str) -> None:
        self.checked = checked
        self.session_id = session_id
        self.secret = secret
        self.browser = Browser(digest(secret), network)

    @property
    def signed(self) -> str:
        return SignedRequest(self.checked, self.session_id, self.browser.binding_digest).dumps()

    def bind(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        binding.bind(request, response, self.session_id, self.secret, max_age=_seconds(lazyauth_settings.flow_lifetime))
        return response


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def _carry(request: HttpRequest, checked: AuthorizationRequest) -> Carried:
    return Carried(checked, uuid7(), binding.new_secret(), network_of(request))


def _carried(request: HttpRequest, purpose: str) -> Carried:
    """Return the request that a posted page carried, if this browser got that page (I7).

    Raises:
        InvalidRequest: Forged, too old, or another browser's.
    """
    signed = load_signed_request(request.POST.get("request", ""))
    secret = binding.secret_of(request, signed.session_id)
    if digest(secret) != signed.binding_digest or not binding.form_token_matches(request, secret, purpose):
        raise InvalidRequest(_GONE())
    return Carried(signed.request, signed.session_id, secret, network_of(request))


# -- choosing a way to sign in -----------------------------------------------------------------------------


def _show_choices(
    request: HttpRequest, carried: Carried, *, user: AbstractBaseUser | None, notice: str = ""
) -> HttpResponse:
    checked = carried.checked
    response = show(
        request,
        "django_lazyauth/choose.html",
        {
            "client": client_card(checked.client, checked.redirect_uri),
            "providers": configured_providers(),
            "account": _account_of(user) if user is not None and "login" not in checked.prompts else "",
            "is_new": "create" in checked.prompts,
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
    carried = _carried(request, "choose")
    checked = carried.checked
    user = _usable_user(request, checked)
    if request.POST.get("account") == "current" and user is not None and "login" not in checked.prompts:
        return _go_on_as(request, replace(checked, prompts=checked.prompts - {"select_account"}), user)
    provider_name = request.POST.get("provider", "")
    try:
        get_provider(provider_name)
    except ProviderError:
        return _show_choices(request, carried, user=user, notice=_unavailable())
    pending = authorize.keep(checked, session_id=carried.session_id, browser=carried.browser)
    return carried.bind(request, _send(request, pending, provider_name, carried.secret))


def _unavailable() -> str:
    return _("This way to sign in does not work at the moment. Try again, or choose another.")


def _send(request: HttpRequest, pending: PendingAuthorization, provider_name: str, secret: str) -> HttpResponse:
    try:
        step = authorize.send_to_provider(pending, get_provider(provider_name))
    except ProviderError:
        callback.reopen(pending)
        return _show_row_choices(request, pending, secret, notice=_unavailable())
    if isinstance(step, Redirect):
        return go(step.url)
    return go(reverse("lazyauth:provider", args=[pending.pk, provider_name]))


def _show_row_choices(
    request: HttpRequest, pending: PendingAuthorization, secret: str, *, notice: str = "", status: int = 200
) -> HttpResponse:
    return show(
        request,
        "django_lazyauth/choose.html",
        {
            "client": client_card(pending.client, pending.redirect_uri),
            "providers": configured_providers(),
            "is_new": "create" in pending.prompts,
            "post_url": reverse("lazyauth:flow", args=[pending.pk]),
            "form_token": binding.form_token(secret, "flow"),
            "notice": notice,
        },
        ui_locales=pending.ui_locales,
        status=status,
    )


# -- the pages of a row ------------------------------------------------------------------------------------


def _own(request: HttpRequest, session_id: UUID, *, form: str = "") -> tuple[PendingAuthorization, str]:
    """Return the row of a flow that this browser began, and the browser's secret (I7).

    Raises:
        InvalidGrant: There is none; or the posted form is not of this page.
    """
    secret = binding.secret_of(request, session_id)
    if not secret or (form and not binding.form_token_matches(request, secret, form)):
        raise InvalidGrant
    return authorize.find(session_id, browser=Browser(digest(secret))), secret


@page_view("GET", "HEAD", "POST")
def flow_view(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Where a flow stands: choose a way to sign in, or allow the client."""
    if request.method != "POST":
        pending, secret = _own(request, session_id)
        if pending.status == Status.AUTHENTICATED:
            return _show_consent_of_row(request, pending, secret)
        if pending.status == Status.CODE_ISSUED:
            raise InvalidGrant
        return _show_row_choices(request, pending, secret)
    pending, secret = _own(request, session_id, form="flow")
    if "provider" in request.POST:
        return _send(request, pending, request.POST["provider"], secret)
    return _decide(request, pending, secret)


@page_view("GET", "HEAD", "POST")
def provider_view(request: HttpRequest, session_id: UUID, provider: str) -> HttpResponse:
    """The pages of a provider of our own site, such as the password's."""
    pending, secret = _own(request, session_id, form=f"provider {provider}" if request.method == "POST" else "")
    try:
        step = callback.answer_page(request, pending, provider)
    except callback.SignInFailed:
        return _show_row_choices(request, pending, secret, notice=_unavailable())
    except callback.SignInRefused as refused:
        return _leave(request, pending, refused.url)
    if isinstance(step, Page):
        return _show_provider_page(request, pending, secret, step)
    return next_step(request, step)


def _show_provider_page(
    request: HttpRequest, pending: PendingAuthorization, secret: str, page: Page
) -> HttpResponse:
    return show(
        request,
        page.template,
        {
            **page.context,
            "client": client_card(pending.client, pending.redirect_uri),
            "provider": get_provider(pending.provider),
            "flow_url": reverse("lazyauth:provider", args=[pending.pk, pending.provider]),
            "choices_url": reverse("lazyauth:flow", args=[pending.pk]),
            "form_token": binding.form_token(secret, f"provider {pending.provider}"),
        },
        ui_locales=pending.ui_locales,
        status=page.status,
    )


def next_step(request: HttpRequest, pending: PendingAuthorization) -> HttpResponse:
    """Go on after the person proved who they are: ask for consent, or answer the client."""
    if authorize.consent_needed(
        pending.user,
        client=pending.client,
        scopes=pending.scopes,
        resources=pending.resource,
        prompts=pending.prompts,
    ):
        return go(reverse("lazyauth:flow", args=[pending.pk]))
    return _leave(request, pending, authorize.allow(pending))


# -- consent -----------------------------------------------------------------------------------------------


def _account_of(user: AbstractBaseUser) -> str:
    email = getattr(user, user.get_email_field_name(), "") if hasattr(user, "get_email_field_name") else ""
    return email or user.get_username()


def _account_of_row(pending: PendingAuthorization) -> str:
    if pending.user is not None:
        return _account_of(pending.user)
    identity = register.open_deferred(pending.deferred).identity
    return identity.email or identity.name or identity.subject


def _show_consent(
    request: HttpRequest,
    *,
    client: Any,
    redirect_uri: str,
    scopes: list[str] | tuple[str, ...],
    resources: list[str] | tuple[str, ...],
    ui_locales: str,
    **context: str,
) -> HttpResponse:
    return show(
        request,
        "django_lazyauth/consent.html",
        {
            "client": client_card(client, redirect_uri),
            "scopes": scope_lines(scopes),
            "resources": resources,
            **context,
        },
        ui_locales=ui_locales,
    )


def _show_consent_of_signed_in(request: HttpRequest, carried: Carried, user: AbstractBaseUser) -> HttpResponse:
    checked = carried.checked
    response = _show_consent(
        request,
        client=checked.client,
        redirect_uri=checked.redirect_uri,
        scopes=checked.scopes,
        resources=checked.resources,
        ui_locales=checked.ui_locales,
        account=_account_of(user),
        post_url=reverse("lazyauth:consent"),
        signed_request=carried.signed,
        # The page names an account: a form of it must not speak for another that signed in since.
        form_token=binding.form_token(carried.secret, f"consent {user.pk}"),
    )
    return carried.bind(request, response)


@page_view("POST")
def consent_view(request: HttpRequest) -> HttpResponse:
    """The answer of a person who was signed in here already."""
    if not isinstance(request.user, AbstractBaseUser) or not request.user.is_active:
        raise InvalidGrant
    carried = _carried(request, f"consent {request.user.pk}")
    checked = carried.checked
    pending = authorize.keep(checked, session_id=carried.session_id, browser=carried.browser)
    return _decide(request, _adopt(request, pending, request.user), carried.secret)


def _show_consent_of_row(request: HttpRequest, pending: PendingAuthorization, secret: str) -> HttpResponse:
    return _show_consent(
        request,
        client=pending.client,
        redirect_uri=pending.redirect_uri,
        scopes=pending.scopes,
        resources=pending.resource,
        ui_locales=pending.ui_locales,
        account=_account_of_row(pending),
        post_url=reverse("lazyauth:flow", args=[pending.pk]),
        form_token=binding.form_token(secret, "flow"),
    )


def _decide(request: HttpRequest, pending: PendingAuthorization, secret: str) -> HttpResponse:
    decision = request.POST.get("decision")
    if decision == "allow":
        return _leave(request, pending, authorize.allow(pending))
    if decision == "deny":
        return _leave(request, pending, authorize.deny(pending))
    raise InvalidRequest(_("Choose whether to allow it or not."))


def _leave(request: HttpRequest, pending: PendingAuthorization, url: str) -> HttpResponse:
    """Send the browser to the client. It keeps its binding only where that will sign it in later."""
    response = go(url)
    if pending.is_deferred and pending.status == Status.AUTHENTICATED:
        secret = binding.secret_of(request, pending.pk)
        binding.bind(request, response, pending.pk, secret, max_age=_seconds(lazyauth_settings.code_retention))
    else:
        binding.release(response, pending.pk)
    return response
