"""The pages of a flow that stands in the database: choose again, a provider's own page, consent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_lazyauth.authorize.code import allow, deny, signs_in_later
from django_lazyauth.authorize.consent import consent_needed, deferred_account
from django_lazyauth.authorize.pending import Browser, find_pending
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant, InvalidRequest, ProviderError
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.openid.results import Pending
from django_lazyauth.providers.base import Page, Provider, Redirect
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sign_in import callback, chain, leg, sso_domain
from django_lazyauth.sign_in.leg import send_to_provider
from django_lazyauth.toolkit import clients

from . import binding
from .carried import seconds
from .decorators import page_view
from .pages import client_card, scope_lines, show, speaking
from .redirects import go


def way_is_closed(provider_name: str = "", reason: str = "") -> Promise:
    """Return what a person reads when a provider failed, in the page's language; why is for the log.

    Of an SSO domain the reason is told too: who reads it may be the one who can mend it.
    """
    if provider_name.startswith(SSO_PREFIX) and reason:
        words = gettext_lazy("{domain} cannot sign you in at the moment ({reason}).")
        return format_lazy(words, domain=provider_name.removeprefix(SSO_PREFIX), reason=reason)
    return gettext_lazy("This way to sign in does not work at the moment. Try again, or choose another.")


def own(request: HttpRequest, session_id: UUID) -> tuple[PendingAuthorization, str]:
    """Return the row of a flow that this browser began, and the browser's secret (I7).

    Raises:
        InvalidGrant: There is none.
    """
    secret = binding.secret_of(request, session_id)
    if not secret:
        raise InvalidGrant
    return find_pending(session_id, browser=Browser(digest(secret))), secret


def check_form(request: HttpRequest, secret: str, purpose: str) -> None:
    """Refuse a posted form that is not of this page, flow and browser.

    Raises:
        InvalidGrant: Another form's token, or none.
    """
    if not binding.form_token_matches(request, secret, purpose):
        raise InvalidGrant


# -- choosing a way to sign in ---------------------------------------------------------------------------


def show_choices(
    request: HttpRequest, pending: PendingAuthorization, secret: str, *, notice: str | Promise = ""
) -> HttpResponse:
    """Show the ways to sign in to a flow that has a row; nothing is lost when one of them failed."""
    return show(
        request,
        "django_lazyauth/choose.html",
        {
            "client": client_card(pending.client, pending.redirect_uri),
            "providers": ways_of(pending),
            "is_new": "create" in pending.prompts,
            "is_link": pending.link_to_id is not None,
            "offers_sso": sso_domain.is_offered(),
            "typed": pending.login_hint if sso_domain.provider_name_of(pending.login_hint) else "",
            "post_url": reverse("lazyauth:flow", args=[pending.pk]),
            "form_token": binding.form_token(secret, "flow"),
            "notice": notice,
        },
        ui_locales=pending.ui_locales,
    )


def ways_of(pending: PendingAuthorization) -> list[Provider]:
    """Return the providers that this flow may go to; only those elsewhere can be added to an account."""
    ways = chain.ways_in(pending.client, pending.scopes)
    return ways if pending.link_to_id is None else [provider for provider in ways if provider.is_upstream]


def _may_go(pending: PendingAuthorization, provider_name: str) -> bool:
    if pending.link_to_id is None or provider_name.startswith(SSO_PREFIX):
        return chain.is_way_in(provider_name, pending.client, pending.scopes)
    return any(provider.name == provider_name for provider in ways_of(pending))


def back_to_account(pending: PendingAuthorization, done: str) -> HttpResponse:
    """Send the person back to their account page, where they learn how it went; the flow is over."""
    response = go(f"{reverse('lazyauth:account')}?{urlencode({'done': done})}")
    binding.release(response, pending.pk)
    return response


def send(
    request: HttpRequest,
    pending: PendingAuthorization,
    provider_name: str,
    secret: str,
    *,
    connect: bool = False,
) -> HttpResponse:
    """Send the person to a provider, or show the choices again where that cannot be."""
    if not connect and not _may_go(pending, provider_name):
        return show_choices(request, pending, secret, notice=way_is_closed())
    # Only at the address that waits for this provider: any other would begin anew when it is asked again.
    is_waiting = request.method != "POST" and pending.provider == provider_name
    try:
        step = send_to_provider(pending, get_provider(provider_name), connect=connect)
    except ProviderError as error:
        leg.reopen(pending)
        return show_choices(request, pending, secret, notice=way_is_closed(provider_name, error.reason))
    if isinstance(step, Redirect):
        return go(step.url)
    if isinstance(step, Pending) and is_waiting:
        return show_waiting(request, pending, step)
    return go(reverse("lazyauth:provider", args=[pending.pk, provider_name]))


@page_view("GET", "HEAD", "POST")
def flow_view(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Where a flow stands: choose a way to sign in, or allow the client."""
    pending, secret = own(request, session_id)
    if request.method == "POST":
        if "provider" in request.POST:
            check_form(request, secret, "flow")
            name = chosen_provider(request)
            if not name:
                return show_choices(request, pending, secret, notice=domain_is_closed())
            return send(request, pending, name, secret)
        check_form(request, secret, consent_form(pending.client))
        return decide(request, pending)
    if pending.status == Status.AUTHENTICATED:
        if leg := chain.next_leg(pending):
            return send(request, pending, leg, secret, connect=True)
        return _show_consent_of_row(request, pending, secret)
    if pending.status == Status.CODE_ISSUED:
        raise InvalidGrant
    return show_choices(request, pending, secret)


@page_view("GET", "HEAD", "POST")
def provider_view(request: HttpRequest, session_id: UUID, provider: str) -> HttpResponse:
    """The pages of a provider of our own site, such as the password's."""
    pending, secret = own(request, session_id)
    if request.method == "POST":
        check_form(request, secret, f"provider {provider}")
    elif pending.status == Status.REQUESTED and pending.provider == provider:
        # Chosen before, and waited for: the waiting page asks again.
        return send(request, pending, provider, secret)
    try:
        # What it puts on its page and into its mails is in the page's language.
        with speaking(pending.ui_locales):
            step = callback.answer_page(request, pending, provider)
    except callback.SignInFailed:
        return show_choices(request, pending, secret, notice=way_is_closed())
    except callback.SignInRefused as refused:
        return turn_away(pending, refused.url)
    if isinstance(step, Page):
        return _show_provider_page(request, pending, secret, step)
    return next_step(request, step)


def show_waiting(request: HttpRequest, pending: PendingAuthorization, waiting: Pending) -> HttpResponse:
    """Show that a provider is being asked who it is; the page asks for its own address again by itself."""
    response = show(
        request,
        "django_lazyauth/waiting.html",
        {
            "host": pending.provider.removeprefix(SSO_PREFIX),
            "client": client_card(pending.client, pending.redirect_uri),
            "retry_after": waiting.retry_after,
            "choices_url": reverse("lazyauth:flow", args=[pending.pk]),
        },
        ui_locales=pending.ui_locales,
        status=202,
    )
    response.headers["Retry-After"] = str(waiting.retry_after)
    return response


def chosen_provider(request: HttpRequest) -> str:
    """Return the provider that the person chose; empty for a domain that may not sign people in here."""
    name = request.POST.get("provider", "")
    return sso_domain.provider_name_of(request.POST.get("domain", "")) if name == SSO_PREFIX else name


def domain_is_closed() -> Promise:
    """Return what a person reads whose domain has no sign-in here."""
    return gettext_lazy(
        "This organisation cannot sign you in here. Check the address, or choose another way."
    )


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


def next_step(request: HttpRequest, pending: PendingAuthorization, secret: str = "") -> HttpResponse:
    """Go on after the person proved who they are: the chain's next leg, consent, or the answer to the client."""
    if leg := chain.next_leg(pending):
        secret = secret or binding.secret_of(request, pending.pk)
        return send(request, pending, leg, secret, connect=True)
    if consent_needed(
        pending.user,
        client=pending.client,
        scopes=pending.scopes,
        resources=pending.resource,
        prompts=pending.prompts,
    ):
        return go(reverse("lazyauth:flow", args=[pending.pk]))
    return leave(request, pending, allow(pending))


# -- consent ---------------------------------------------------------------------------------------------


def account_of(user: AbstractBaseUser) -> str:
    """Return how the page names a user: by address, else by name."""
    email = getattr(user, user.get_email_field_name(), "")
    return email or user.get_username()


def consent_form(client: Any, user: AbstractBaseUser | None = None) -> str:
    """Return what a consent form is good for: the client as the page showed it, and the account it named."""
    return f"consent {clients.metadata_digest(client)} {user.pk if user else ''}"


def show_consent(
    request: HttpRequest,
    *,
    client: Any,
    redirect_uri: str,
    scopes: list[str] | tuple[str, ...],
    resources: list[str] | tuple[str, ...],
    ui_locales: str,
    **context: str,
) -> HttpResponse:
    """Show who wants what, as whom; *context* says where the answer goes."""
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


def _show_consent_of_row(request: HttpRequest, pending: PendingAuthorization, secret: str) -> HttpResponse:
    return show_consent(
        request,
        client=pending.client,
        redirect_uri=pending.redirect_uri,
        scopes=pending.scopes,
        resources=pending.resource,
        ui_locales=pending.ui_locales,
        account=account_of(pending.user) if pending.user else deferred_account(pending),
        post_url=reverse("lazyauth:flow", args=[pending.pk]),
        form_token=binding.form_token(secret, consent_form(pending.client)),
    )


def decide(request: HttpRequest, pending: PendingAuthorization) -> HttpResponse:
    """Do what the person decided on the consent page."""
    decision = request.POST.get("decision")
    if decision == "allow":
        return leave(request, pending, allow(pending))
    if decision == "deny":
        return turn_away(pending, deny(pending))
    raise InvalidRequest(_("Choose whether to allow it or not."))


def leave(request: HttpRequest, pending: PendingAuthorization, url: str) -> HttpResponse:
    """Send the browser to the client. It keeps its binding only where that will sign it in later."""
    response = go(url)
    if signs_in_later(pending):
        secret = binding.secret_of(request, pending.pk)
        retention = seconds(lazyauth_settings.code_retention)
        binding.bind(request, response, pending.pk, secret, max_age=retention)
    else:
        binding.release(response, pending.pk)
    return response


def turn_away(pending: PendingAuthorization, url: str) -> HttpResponse:
    """Send the browser to the client with an error: the flow is over, and so is its cookie."""
    response = go(url)
    binding.release(response, pending.pk)
    return response
