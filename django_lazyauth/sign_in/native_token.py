"""Sign in, or link, with an ID token that an app or a one-tap button holds already.

The token is checked like every other, once, and before any transaction opens. It has to carry the nonce of this flow
or link, so a token that was made for another flow, app or person is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import AccessDenied, IdentityRejected, LazyAuthError, ProviderError
from django_lazyauth.kit.results import Pending
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.openid.jose import Reason
from django_lazyauth.openid.verify import IdTokenRejected, read_unverified
from django_lazyauth.providers.base import Success
from django_lazyauth.providers.openid import OpenIDProvider, check_freshness
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.upstream import health, subject_rule

from . import chain, complete, failures, leg, sso_domain

#: What an operator may have left out of the configuration when a check fails.
_KEY_OF: Final[Mapping[str, str]] = {
    Reason.AUTHORIZED_PARTY: 'its azp is neither "client_id" nor in "authorized_parties"'
}
#: The states of a row that waits for its person.
OPEN = (Status.REQUESTED, Status.SENT_UPSTREAM)


class TokenRefused(LazyAuthError):
    """An ID token that was handed over signs nobody in, and a line of the log says why.

    Attributes:
        cause: Why.
        reference: Of that line.
    """

    def __init__(self, cause: ProviderError | AccessDenied, reference: str) -> None:
        self.cause = cause
        self.reference = reference
        super().__init__(str(cause))


@contextmanager
def _logged(provider_name: str = "") -> Iterator[None]:
    """Turn what a provider's token is refused for into :class:`TokenRefused`."""
    began = time.monotonic()
    try:
        yield
    except ProviderError as error:
        error.debug = error.debug or _KEY_OF.get(error.reason, "")
        seconds = time.monotonic() - began
        failure = failures.log_failed_leg(provider_name, error, stage="id_token", seconds=seconds)
        raise TokenRefused(error, failure.reference) from None


@sensitive_variables("id_token")
def provider_of(id_token: str, *, discovery_domain: str = "") -> OpenIDProvider:
    """Return the provider that has to have issued *id_token*: by issuer and audience, or by domain.

    Raises:
        TokenRefused: ``domain``: the domain is not on the allowlist. ``unknown_issuer``: no provider has that
            issuer, and the audience as ``client_id`` or in ``audiences``. Or the token cannot be read.
    """
    with _logged():
        return _provider_of(id_token, discovery_domain)


@sensitive_variables("id_token")
def _provider_of(id_token: str, discovery_domain: str) -> OpenIDProvider:
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
            continue  # This provider is disabled or misconfigured.
    raise IdentityRejected("unknown_issuer")


def _is_for(provider: OpenIDProvider, issuer: object, audience: object) -> bool:
    audiences = audience if isinstance(audience, list) else [audience]
    ours = (provider.descriptor.client_id, *provider.descriptor.people.audiences)
    return (
        isinstance(issuer, str)
        and provider.names_issuer(issuer)
        and any(client_id in audiences for client_id in ours)
    )


@sensitive_variables("id_token")
def identify(
    provider: OpenIDProvider, id_token: str, *, nonce: str, pending: PendingAuthorization | None = None
) -> Success | Pending:
    """Return the person of a token that was handed over, for *pending* if there is one.

    Raises:
        TokenRefused: A check of the token failed, its person may not sign in here (``not_allowed``), or the provider's
            keys cannot be fetched.
    """
    max_age = pending.max_age if pending is not None else None
    with _logged(provider.name):
        subject_rule.require_known(provider)
        verified = provider.try_verify(id_token, nonce=nonce, max_age=max_age, is_native=True)
        if isinstance(verified, Pending):
            return verified
        if pending is not None:
            check_freshness(verified, pending)
        success = provider.success_of_token(verified)
    health.note_success(provider.name, subject_rule.rule_of(provider))
    return success


@sensitive_variables("id_token")
def sign_in_with(
    request: HttpRequest, pending: PendingAuthorization, id_token: str, *, discovery_domain: str, nonce: str
) -> PendingAuthorization | Pending:
    """Answer *pending* as the person that *id_token* names.

    Raises:
        TokenRefused: As :func:`identify`, or the person may not sign in here.
        IdentityRejected: ``not_a_way_in``: a chain begins with another provider.
        InvalidGrant: The row expired, or moved on in another tab.
    """
    if pending.status not in OPEN or pending.link_to_id is not None or leg.is_connecting(pending):
        # On a later leg the person is known already, and the tokens of the earlier legs are theirs.
        raise leg.SignInEnded
    provider = provider_of(id_token, discovery_domain=discovery_domain)
    if not chain.is_way_in(provider.name, pending.client, pending.scopes):
        raise IdentityRejected("not_a_way_in")
    success = identify(provider, id_token, nonce=nonce, pending=pending)
    if isinstance(success, Pending):
        return success
    leg.back_to(pending, Status.SENT_UPSTREAM, provider=provider.name)
    try:
        return complete.complete(request, pending, provider, success)
    except AccessDenied as denied:
        failure = failures.log_no_account(provider.name, denied.debug or denied.error)
        raise TokenRefused(denied, failure.reference) from None
