"""Whose word is this ID-JAG, and does it hold? Before any transaction: keys may have to be fetched.

Not here: what a client gets for it (:mod:`.id_jag`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.clients.authenticate import authenticate
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import (
    InvalidGrant,
    ProviderError,
    TemporarilyUnavailable,
    UnauthorizedClient,
)
from django_lazyauth.kit.results import Pending
from django_lazyauth.kit.wait import wait_for
from django_lazyauth.openid import domains
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.openid.jose import TokenRejected
from django_lazyauth.openid.people.id_jag import IdJagPolicy, read_policy
from django_lazyauth.openid.people.verify_id_jag import VerifiedIdJag, verify_id_jag
from django_lazyauth.openid.provider_kinds import Wrong
from django_lazyauth.openid.sources import Published
from django_lazyauth.openid.verify import read_unverified
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sign_in import sso_domain
from django_lazyauth.toolkit import client_methods, clients
from django_lazyauth.upstream import subject_rule

from ..contract import Asserted, Form, Prepared

logger = logging.getLogger("django_lazyauth.token")

#: Seconds that a token request waits for metadata and keys of a provider.
PATIENCE: Final = 5.0


def is_served() -> bool:
    """Say whether any provider may speak for people without a page."""
    return domain_policy() is not None or any(True for _ in _configured())


def domain_policy() -> IdJagPolicy | None:
    """Return what the providers of SSO domains may let clients have; ``None`` where that is nothing."""
    value = lazyauth_settings.sso_id_jag
    if value is None or not domains.is_enabled():
        return None
    try:
        return read_policy(value)
    except (Wrong, TypeError, ValueError):
        return None  # Check E026 reports it.


def _configured() -> Iterator[tuple[OpenIDProvider, IdJagPolicy]]:
    for name, mapping in lazyauth_settings.providers.items():
        if not isinstance(mapping, Mapping) or not mapping.get("id_jag"):
            continue
        try:
            provider = get_provider(name)
            policy = provider.descriptor.people.id_jag if isinstance(provider, OpenIDProvider) else None
        except ProviderError:
            continue  # It is disabled, or check E008 reports it.
        if isinstance(provider, OpenIDProvider) and policy is not None:
            yield provider, policy


# -- does it hold? -----------------------------------------------------------------------------------------


@sensitive_variables()
def fetch(form: Form, prepared: Prepared) -> Prepared:
    """Return *prepared* with what the assertion of the request says. No transaction may be open.

    Raises:
        InvalidClient: The client failed to authenticate.
        UnauthorizedClient: It may not come with this provider's word.
        InvalidGrant: The assertion does not hold, or its person may not sign in here.
        TemporarilyUnavailable: The provider's keys cannot be read now. Nothing is used up.
    """
    assertion = form.require("assertion")
    client = authenticate(form.credentials, by_key=prepared.by_key)
    try:
        provider, policy = _provider_of(read_unverified(assertion), form)
        check_client(client, policy)
        subject_rule.require_known(provider)
        granted = _verified(provider, policy, assertion, client.client_id)
        signed_in = provider.success_of_token(granted.identity)
    except TokenRejected as error:
        raise _refused(error.reason) from None
    except ProviderError as error:
        raise _refused(error.detail) from None
    return replace(prepared, asserted=Asserted(provider, policy, granted.identity.issuer, granted, signed_in))


def check_client(client: clients.Client, policy: IdJagPolicy) -> None:
    """
    Raises:
        UnauthorizedClient: The operator did not name this client, or it proves nothing.
    """
    if client.client_id not in policy.clients:
        raise UnauthorizedClient
    if not policy.public_clients and not client_methods.must_prove(client):
        raise UnauthorizedClient


def _refused(reason: str) -> InvalidGrant:
    logger.warning("an ID-JAG was refused: %s", reason)
    return InvalidGrant("The assertion is not valid here.")


@sensitive_variables()
def _verified(provider: OpenIDProvider, policy: IdJagPolicy, assertion: str, client_id: str) -> VerifiedIdJag:
    check = partial(_check, assertion, policy, client_id)
    found = wait_for(lambda: _try(provider, check), seconds=PATIENCE)
    if found is None:
        raise TemporarilyUnavailable("The keys of the provider are being fetched.")
    return found


def _try(provider: OpenIDProvider, check: Any) -> VerifiedIdJag | None:
    """Return what *check* finds; ``None`` while metadata or keys are being fetched."""
    if provider.prepare() is not None:
        return None
    found = provider.with_keys(check, wait=False, stage="assertion")
    return None if isinstance(found, Pending) else found


@sensitive_variables()
def _check(assertion: str, policy: IdJagPolicy, client_id: str, published: Published) -> VerifiedIdJag:
    return verify_id_jag(
        assertion,
        provider=published.descriptor,
        keys=published.stored.keys,
        policy=policy,
        audience=lazyauth_settings.issuer,
        client_id=client_id,
        now=timezone.now(),
    )


# -- whose is it? ------------------------------------------------------------------------------------------


def _provider_of(claims: Mapping[str, Any], form: Form) -> tuple[OpenIDProvider, IdJagPolicy]:
    """Return the provider that has to have signed it, by its unchecked ``iss``. The signature decides.

    Raises:
        InvalidGrant: There is none, or it may not speak for people without a page.
    """
    issuer = claims.get("iss")
    if isinstance(issuer, str):
        for provider, policy in _configured():
            if provider.names_issuer(issuer):
                return provider, policy
        found = _domain_of(issuer, claims, form)
        policy_of_domains = domain_policy()
        if found is not None and policy_of_domains is not None:
            return found, policy_of_domains
    raise _refused("iss")


def _domain_of(issuer: str, claims: Mapping[str, Any], form: Form) -> OpenIDProvider | None:
    """Return the provider of the SSO domain that the request names, or the address of the assertion.

    People of two domains of one issuer are told apart by that, as where they sign in. Where no domain of this issuer is
    named, it is the only one that the operator configured with it. Of several, none speaks.
    """
    typed = form.get("discovery_domain") or claims.get("email")
    name = sso_domain.provider_name_of(typed) if isinstance(typed, str) else ""
    if name and sso_domain.state_of(name.removeprefix(SSO_PREFIX)).issuer in (issuer, ""):
        return _sso(name)
    found = [domain for domain in lazyauth_settings.sso_domains if _issuer_of(domain) == issuer]
    return _sso(sso_domain.provider_name_of(found[0])) if len(found) == 1 else None


def _issuer_of(name: str) -> str:
    """Return the issuer that the operator configured for an SSO domain; empty where its own document says it."""
    try:
        domain = domains.find(domains.normalise(name))
    except domains.DomainInvalid:
        return ""  # Check E020 reports it.
    return domain.descriptor.issuer if domain is not None and domain.descriptor is not None else ""


def _sso(name: str) -> OpenIDProvider | None:
    provider = get_provider(name)
    return provider if isinstance(provider, OpenIDProvider) else None
