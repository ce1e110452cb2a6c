"""Where a sign-out goes on: at the provider that the person signed in with (key ``upstream_logout``).

What the provider needs to know is read before anything ends here, because the session's upstream tokens go with it.

Not here: what ends here (:mod:`.logout`), and what a provider ends here (:mod:`.upstream_logout`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderError, SealBroken
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Status, UpstreamToken
from django_lazyauth.openid.requests.fill import fill_each, fill_url
from django_lazyauth.openid.requests.logout import Logout
from django_lazyauth.providers.code_flow import CodeFlow
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.vault.cipher import get_cipher
from django_lazyauth.vault.places import place_of

from . import flows

#: Sessions of one sign-in whose ID token may be sent. They have one person and one session there.
LOOKED_AT: Final = 20
#: Characters of the address. Servers refuse lines of some 8,000, and an ID token may have 64 KiB.
URL_LIMIT: Final = 6000


@dataclass(frozen=True, slots=True)
class SignOutThere:
    """The way on to the provider.

    Attributes:
        url: Absolute URL of its end-session endpoint with its query.
        state: Comes back with the person.
        provider: Its name as people read it.
        is_asked: The person decides whether to go there.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    provider: str
    is_asked: bool


def return_uri() -> str:
    """Return our page for people who come back, to be registered at the provider as post-logout redirect URI."""
    return lazyauth_settings.issuer_origin + reverse("lazyauth:signed-out")


@sensitive_variables()
def sign_out_there(
    *, session_id: UUID | None, subject: str, identity_id: int | None, is_known: bool
) -> SignOutThere | None:
    """Return the way on; ``None`` where the provider wants none, or cannot be asked now. Nothing is fetched or written.

    Args:
        session_id: The session that is about to end, where one is named.
        subject: Who has that session, as its ID token says.
        identity_id: The account that the browser was signed in with; ``None`` where it was not, or by a password.
        is_known: The person is signed in in this browser. Nobody else gets to see an ID token of the provider.
    """
    identity = _identity(identity_id)
    begun = _sign_in(session_id, subject, identity)
    if begun is not None and begun.identity_id != identity_id:
        identity = _identity(begun.identity_id)
    provider = _provider(begun, identity)
    endpoint = _endpoint(provider) if provider is not None else ""
    if provider is None or not endpoint:
        return None
    state, descriptor = secrets.token_urlsafe(32), provider.descriptor
    url = end_session_url(
        descriptor.logout,
        endpoint,
        client_id=descriptor.client_id,
        redirect_uri=return_uri(),
        state=state,
        id_token=_id_token(begun, provider.name) if begun is not None and is_known else "",
    )
    return SignOutThere(url, state, provider.display_name, descriptor.logout.upstream_logout == "ask")


def _endpoint(provider: CodeFlow) -> str:
    try:
        return provider.known_end_session()
    except (ProviderError, ImproperlyConfigured):
        return ""


def _identity(pk: int | None) -> ProviderIdentity | None:
    if pk is None:
        return None
    return ProviderIdentity.objects.using(flows.database()).filter(pk=pk).first()


def _sign_in(
    session_id: UUID | None, subject: str, identity: ProviderIdentity | None
) -> PendingAuthorization | None:
    """Return the request by which the person signed in: that of the session, else their last with *identity*."""
    rows = PendingAuthorization.objects.using(flows.database()).filter(status=Status.EXCHANGED)
    own = rows.filter(pk=session_id).first() if session_id is not None else None
    if own is not None and str(own.user_id) == subject:
        return own
    if identity is None:
        return None
    theirs = rows.filter(user_id=identity.user_id, identity_id=identity.pk)
    return theirs.order_by(F("exchanged_at").desc()).first()


def _provider(begun: PendingAuthorization | None, identity: ProviderIdentity | None) -> CodeFlow | None:
    """Return the provider of the account that signed the person in, where people go on to it.

    A request that went on to a second provider names that one. Of two providers with the same accounts it names the
    one that was used.
    """
    named = begun.provider if begun is not None else ""
    accounts = identity.provider if identity is not None else named
    for name in filter(None, dict.fromkeys((named, accounts))):
        try:
            provider = get_provider(name)
            if isinstance(provider, CodeFlow) and provider.accounts == accounts:
                return provider if provider.descriptor.logout.upstream_logout != "never" else None
        except (ProviderError, ImproperlyConfigured):
            continue  # It is not configured any more, or wrongly.
    return None


@sensitive_variables()
def _id_token(begun: PendingAuthorization, provider: str) -> str:
    """Return the provider's ID token of the sign-in that *begun* stands on; empty where there is none.

    A request that the browser's sign-in answered asked no provider. Those beside it have the same account and moment.
    """
    if begun.user_id is None:
        return ""
    beside = PendingAuthorization.objects.using(flows.database()).filter(
        user_id=begun.user_id, identity_id=begun.identity_id, auth_time=begun.auth_time
    )
    keys = [begun.pk, *beside.order_by("-pk").values_list("pk", flat=True)[:LOOKED_AT]]
    held = UpstreamToken.objects.using(flows.database()).filter(
        provider=provider, user_id=begun.user_id, session_id__in=keys
    )
    rows = sorted(held, key=lambda row: (row.session_id != begun.pk, -row.pk))
    for row in rows:
        try:
            if row.id_token:
                return get_cipher().open(row.id_token, place_of(row.session_id, provider, "id_token"))
        except SealBroken:
            continue  # The provider asks the person then.
    return ""


@sensitive_variables()
def end_session_url(
    logout: Logout, endpoint: str, *, client_id: str, redirect_uri: str, state: str, id_token: str
) -> str:
    """Return the logout request (§2).

    The ID token is left out where it makes the address too long for servers. The provider asks the person then.

    Args:
        endpoint: The configured one, or what the provider publishes.
        redirect_uri: Our page for people who come back; to be registered there.
        state: Comes back with the person.
        id_token: Of the session there; empty where none is known.
    """
    filled = {"client_id": client_id, "redirect_uri": redirect_uri, "state": state}
    parameters = {"client_id": client_id, "state": state, **fill_each(logout.upstream_logout_params, filled)}
    if not any("{redirect_uri}" in template for template in logout.upstream_logout_params.values()):
        parameters["post_logout_redirect_uri"] = redirect_uri
    if logout.end_session_endpoint:
        # What a provider publishes about itself is never filled.
        endpoint = fill_url(endpoint, filled)
    separator = "&" if urlsplit(endpoint).query else "?"
    with_hint, without = (
        f"{endpoint}{separator}{urlencode(found, quote_via=quote)}"
        for found in ({"id_token_hint": id_token, **parameters}, parameters)
    )
    return with_hint if id_token and len(with_hint) <= URL_LIMIT else without
