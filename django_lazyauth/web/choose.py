"""The page that offers the ways to sign in, and what the person chose on it.

Not here: the way to the chosen provider (:mod:`.flow`).
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from django_lazyauth.authorize.first_step import hinted_way, may_continue
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.base import Provider
from django_lazyauth.providers.password import PasswordProvider
from django_lazyauth.providers.registry import configured_providers
from django_lazyauth.sign_in import chain, sso_domain
from django_lazyauth.sign_in.failures import OF_THE_PERSON, Failure

from . import binding
from .binding import Carried
from .client_card import card_of, name_of_provider, name_of_user
from .design.last_way import last_first, last_way
from .device.card import device_card, signed_in_for
from .page import show

CANCELLED = gettext_lazy("You did not sign in with {name}. Try again, or choose another way.")
REFUSED = gettext_lazy("{name} did not let you sign in. Try again, or choose another way.")
DOWN = gettext_lazy("{name} does not answer at the moment. Try again, or choose another way.")
SET_UP_WRONGLY = gettext_lazy(
    "The sign-in at {name} is not set up correctly. We have been told. Choose another way."
)
UNVERIFIED = gettext_lazy("The answer of {name} could not be verified. Start again, or choose another way.")
NOT_ALLOWED = gettext_lazy("This account may not sign in here. Choose another.")
NO_MAIL = gettext_lazy(
    "This site cannot send mail at the moment. Try again in a few minutes, or choose another way."
)


#: What a person reads for each reason; the others have one sentence. A domain has one that names the detail.
_WORDS: Final = {
    "cancelled": CANCELLED,
    "needs_interaction": REFUSED,
    "down": DOWN,
    "misconfigured": SET_UP_WRONGLY,
    "refused": UNVERIFIED,
    "not_allowed": NOT_ALLOWED,
}


def show_choices(
    request: HttpRequest,
    pending: PendingAuthorization,
    secret: str,
    *,
    notice: str | Promise = "",
    failed: tuple[str, Failure] | None = None,
) -> HttpResponse:
    """Show the ways to sign in for a flow that has a row. The row stays when one of them failed.

    Args:
        notice: What the person reads above them.
        failed: The provider that failed and why, in place of *notice*.
    """
    reference, user = "", signed_in_for(request, pending)
    if failed is not None:
        notice, reference = why_failed(*failed), failed[1].reference
    return show(
        request,
        "django_lazyauth/choose.html",
        {
            "client": card_of(pending),
            "device": device_card(request, pending, secret),
            "account": name_of_user(user) if user is not None else "",
            **_ways(request, chain.choices(pending)),
            "is_new": "create" in pending.prompts,
            "is_link": pending.link_to_id is not None,
            **_typed_field(request, pending.login_hint, is_link=pending.link_to_id is not None),
            "post_url": reverse("lazyauth:flow", args=[pending.pk]),
            "form_token": binding.form_token(secret, "flow"),
            "notice": notice,
            "is_calm": failed is not None and failed[1].reason == "cancelled",
            "reference": reference,
        },
        ui_locales=pending.ui_locales,
    )


def show_first_choices(
    request: HttpRequest, carried: Carried, *, user: AbstractBaseUser | None, notice: str | Promise = ""
) -> HttpResponse:
    """Show the ways to sign in for a request that has no row yet; *user* may go on as who they are."""
    checked = carried.checked
    hint = hinted_way(checked)
    domain = hint.removeprefix(SSO_PREFIX) if hint.startswith(SSO_PREFIX) else ""
    response = show(
        request,
        "django_lazyauth/choose.html",
        {
            "client": card_of(checked),
            **_ways(request, chain.ways_in(checked.client, checked.scopes), hint),
            "account": name_of_user(user) if user is not None and may_continue(checked.prompts) else "",
            "is_new": "create" in checked.prompts,
            **_typed_field(request, checked.login_hint or domain),
            "post_url": reverse("lazyauth:choose"),
            "signed_request": carried.signed,
            "form_token": binding.form_token(carried.secret, "choose"),
            "notice": notice,
        },
        ui_locales=checked.ui_locales,
    )
    return carried.bind(request, response)


def _ways(request: HttpRequest, providers: list[Provider], hint: str = "") -> dict[str, Any]:
    """Return the buttons: what the client hints at first, else the way that was used last; that is the likeliest."""
    last = last_way(request)
    names = [provider.name for provider in providers]
    first = hint if hint in names else last
    likeliest = first if first in names else names[0] if len(names) == 1 else ""
    return {"providers": last_first(providers, first), "last_used": last, "primary": likeliest}


def _typed_field(request: HttpRequest, login_hint: str, *, is_link: bool = False) -> dict[str, str | bool]:
    """Return what the field is for: an organisation, or with ``IDENTIFIER_FIRST`` whatever somebody is known by."""
    hinted = login_hint or last_way(request).removeprefix(SSO_PREFIX)
    is_first = not is_link and bool(_password_provider())
    return {
        "offers_sso": sso_domain.is_offered() or is_first,
        "is_identifier_first": is_first,
        "typed": login_hint if is_first else hinted if sso_domain.provider_name_of(hinted) else "",
    }


def _password_provider() -> str:
    """Return the name of the provider that a typed name leads to; empty unless ``IDENTIFIER_FIRST`` is on."""
    if not lazyauth_settings.identifier_first:
        return ""
    return next((one.name for one in configured_providers() if isinstance(one, PasswordProvider)), "")


# -- what was chosen -------------------------------------------------------------------------------------


def chosen_provider(request: HttpRequest) -> str:
    """Return the provider that the person chose; empty for a domain that is not on the allowlist."""
    name = request.POST.get("provider", "")
    if name != SSO_PREFIX:
        return name
    # The same for known and unknown names: only the domain counts.
    return sso_domain.provider_name_of(typed_domain(request)) or _password_provider()


def typed_domain(request: HttpRequest) -> str:
    """Return what the person typed for SSO: an e-mail address, a domain, allowed or not, or a user name."""
    return request.POST.get("domain", "")


def typed_address(request: HttpRequest) -> str:
    """Return what the person typed for ``login_hint``: an e-mail address, or a user name; empty for a bare domain."""
    typed = typed_domain(request).strip()
    is_name = "@" in typed or (bool(_password_provider()) and not sso_domain.provider_name_of(typed))
    return typed if is_name and len(typed) <= 256 else ""


# -- why it cannot be ------------------------------------------------------------------------------------


def why_failed(provider_name: str, failure: Failure) -> Promise:
    """Return what a person reads when a provider could not sign them in, in the page's language.

    The log has the details, and the reference that the page ends with.
    """
    if failure.detail == "mail":
        return NO_MAIL
    words = _WORDS.get(failure.reason)
    is_domain = provider_name.startswith(SSO_PREFIX)
    if words is None or (is_domain and failure.reason not in OF_THE_PERSON):
        return way_is_closed(provider_name, failure.detail)
    return format_lazy(words, name=name_of_provider(provider_name))


def way_is_closed(provider_name: str = "", reason: str = "") -> Promise:
    """Return what a person reads when a way to sign in does not work now, in the page's language.

    For an SSO domain the reason is shown too: the reader may be the person who can repair it.
    """
    if provider_name.startswith(SSO_PREFIX) and reason:
        words = gettext_lazy("{domain} cannot sign you in at the moment ({reason}).")
        return format_lazy(words, domain=provider_name.removeprefix(SSO_PREFIX), reason=reason)
    return gettext_lazy("This way to sign in does not work at the moment. Try again, or choose another.")


def domain_is_closed() -> Promise:
    """Return what a person reads when their domain has no sign-in here."""
    return gettext_lazy(
        "This organisation cannot sign you in here. Check the address, or choose another way."
    )
