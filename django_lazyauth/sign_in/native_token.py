"""Sign in, or link, with an ID token that an app or a one-tap button holds already.

The token is checked as every other, once, and before any transaction opens. It has to carry the nonce of the
place where it is used, so one that was made for another flow, another app or another person's link is refused.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import IdentityRejected, InvalidGrant, ProviderError
from django_lazyauth.kit.results import Pending
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.openid.verify import IdTokenRejected, read_unverified
from django_lazyauth.providers.openid import OpenIDProvider, check_freshness
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sign_in.leg import choose_provider

from . import chain, complete, sso_domain

#: A row that waits for a person, wherever they are.
OPEN = (Status.REQUESTED, Status.SENT_UPSTREAM)


@sensitive_variables("id_token")
def provider_of(id_token: str, *, discovery_domain: str = "") -> OpenIDProvider:
    """Return the provider that has to vouch for *id_token*: by issuer and audience, or by domain.

    Raises:
        IdentityRejected: ``domain``: it may not sign people in. ``unknown_issuer``: no provider has that issuer
            and client id. Or the token cannot be read.
    """
    if discovery_domain:
        name = sso_domain.provider_name_of(discovery_domain)
        provider = get_provider(name) if name and "@" not in discovery_domain else None
        if not isinstance(provider, OpenIDProvider):
            raise IdentityRejected("domain")
        return provider
    try:
        claims = read_unverified(id_token)
    except IdTokenRejected as error:
        raise IdentityRejected(error.reason) from None
    issuer, audience = claims.get("iss"), claims.get("aud")
    for name in lazyauth_settings.providers:
        if name.startswith(SSO_PREFIX):
            continue
        try:
            provider = get_provider(name)
            if isinstance(provider, OpenIDProvider) and _is_for(provider, issuer, audience):
                return provider
        except ProviderError:
            continue  # one that is disabled or set up wrongly
    raise IdentityRejected("unknown_issuer")


def _is_for(provider: OpenIDProvider, issuer: object, audience: object) -> bool:
    audiences = audience if isinstance(audience, list) else [audience]
    return (
        isinstance(issuer, str)
        and provider.names_issuer(issuer)
        and any(name == provider.descriptor.client_id for name in audiences)
    )


@sensitive_variables("id_token")
def sign_in_with(
    request: HttpRequest, pending: PendingAuthorization, id_token: str, *, discovery_domain: str, nonce: str
) -> PendingAuthorization | Pending:
    """Answer *pending* as the person whom *id_token* names.

    Raises:
        IdentityRejected: A check failed; ``not_a_way_in``: a chain begins with another provider.
        ProviderUnavailable: The provider's keys cannot be had.
        AccessDenied: The person may not sign in here.
        InvalidGrant: The row is over, or moved on in another tab.
    """
    if pending.status not in OPEN or pending.link_to_id is not None or chain.is_connecting(pending):
        # On a later leg it stands who it is, and what the legs before it stored is theirs.
        raise InvalidGrant("This sign-in is over. Go back to the application and start again.")
    provider = provider_of(id_token, discovery_domain=discovery_domain)
    if not chain.is_way_in(provider.name, pending.client, pending.scopes):
        raise IdentityRejected("not_a_way_in")
    verified = provider.try_verify(id_token, nonce=nonce, max_age=pending.max_age)
    if isinstance(verified, Pending):
        return verified
    check_freshness(verified, pending)
    success = provider.success(verified, verified.profile)
    choose_provider(pending, provider, status=Status.SENT_UPSTREAM)
    return complete.complete(request, pending, provider, success)
