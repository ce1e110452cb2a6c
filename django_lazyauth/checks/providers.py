"""Can each provider and SSO domain be set up, and do the settings name those that exist?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.conf.kinds import is_a
from django_lazyauth.conf.messages import complaint, readable
from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.openid.descriptor import DescriptorError, ProviderDescriptor
from django_lazyauth.openid.domains import check_configuration, normalise
from django_lazyauth.openid.domains import find as find_domain
from django_lazyauth.openid.people.id_jag import ID_JAG, read_policy
from django_lazyauth.openid.people.keys import People
from django_lazyauth.openid.provider_kinds import Wrong
from django_lazyauth.openid.requests.signing import end_of
from django_lazyauth.providers.base import Provider, SyncTerms
from django_lazyauth.providers.code_flow import CodeFlow
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sign_in.deferred import mode_of
from django_lazyauth.users import fields, groups, needs_address

#: Before a secret that is a JWT ends, an operator is told.
SOON: Final = timedelta(days=30)
_MODES: Final = (None, "immediate", "lazy")


def check_providers() -> Iterator[CheckMessage]:
    for name, config in (readable("providers") or {}).items():
        if not is_a(name, str) or not is_a(config, Mapping):
            yield Error('LAZYAUTH["PROVIDERS"] must be a dict of dicts.', id="lazyauth.E008")
            continue
        if config.get("enabled", True) is not False:
            yield from check_entry(name, config)
    yield from _two_of_one_issuer()


def _two_of_one_issuer() -> Iterator[CheckMessage]:
    """One person would be two accounts, and by a second provider nobody would find their own."""
    known: dict[str, tuple[str, str]] = {}
    for name, config in (readable("providers") or {}).items():
        try:
            provider = get_provider(name) if is_a(config, Mapping) else None
            if not isinstance(provider, OpenIDProvider) or provider.descriptor.people.accounts_of is False:
                continue
            accounts, issuers = provider.accounts, provider.descriptor.issuers
        except Exception:  # noqa: BLE001, S112 - it is disabled, or E008 reports why it cannot be set up.
            continue
        other, its = next((known[issuer] for issuer in issuers if issuer in known), (name, accounts))
        if its != accounts:
            yield Error(
                f"Providers {_shown(other)} and {_shown(name)} have one issuer: a person has two accounts.",
                hint='Set "accounts_of" of one to the name of the other, or to False if that is meant.',
                id="lazyauth.E022",
            )
        known.update(dict.fromkeys(issuers, (name, accounts)))


def check_entry(name: str, config: Mapping[str, Any]) -> list[CheckMessage]:
    """Return what is wrong with one enabled entry."""
    try:
        return list(_entry(name, config))
    except Exception as error:  # noqa: BLE001 - a host's class and its configuration raise what they like.
        cause = error.__cause__ if isinstance(error.__cause__, DescriptorError) else error
        return [Error(f"Provider {_shown(name)} cannot be set up: {complaint(cause)}", id="lazyauth.E008")]


def _entry(name: str, config: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if config.get("registration") not in _MODES:
        yield _wrong_registration(name)
        return
    provider = get_provider(name)
    found = list(_provider(provider))
    yield from found
    if not found:
        provider.check()
        yield from _fields_of_users(provider)
        yield from _addresses(provider)
        yield from _stolen_codes(provider)
        yield from _end_of_secret(provider)
        yield from _classes(provider)


def _classes(provider: Provider) -> Iterator[CheckMessage]:
    """A class that no client may ask for is never asked of the provider."""
    mapped = provider.descriptor.requests.acr_values if isinstance(provider, CodeFlow) else {}
    if unknown := [one for one in mapped if one not in (readable("acr_values") or ())]:
        yield Error(
            f"Provider {_shown(provider.name)} maps the context class {unknown[0]!r}, which is not one of this site.",
            hint='Add it to LAZYAUTH["ACR_VALUES"].',
            id="lazyauth.E031",
        )


def _wrong_registration(name: str) -> CheckMessage:
    return Error(f'Provider {_shown(name)}: registration must be "immediate" or "lazy".', id="lazyauth.E003")


def _fields_of_users(provider: Provider) -> Iterator[CheckMessage]:
    people = provider.descriptor.people if isinstance(provider, CodeFlow) else None
    for text in _sync_complaints(provider.sync_terms, people):
        yield Error(f"Provider {_shown(provider.name)} cannot be set up: {text}.", id="lazyauth.E008")


def _sync_complaints(terms: Callable[[], SyncTerms], people: People | None) -> Iterator[str]:
    try:
        terms()
    except ProviderUnavailable as error:
        yield error.debug
        return
    if people is not None:
        yield from fields.complaints(people)
        yield from groups.complaints(people)


def _addresses(provider: Provider) -> Iterator[CheckMessage]:
    """People of a provider that verifies no address cannot register where every user needs one."""
    if readable("unverified_email") == "placeholder":
        return
    if needs_address() and isinstance(provider, CodeFlow) and not _brings_address(provider.descriptor):
        yield CheckWarning(
            f"The user model needs an e-mail address of everybody, and provider {provider.name!r} brings no verified "
            "one: new people cannot register with it.",
            hint='Let the column of the address be NULL, set UNVERIFIED_EMAIL to "placeholder", or write the user in '
            "your own USER_RESOLVER.",
            id="lazyauth.W014",
        )


def _stolen_codes(provider: Provider) -> Iterator[CheckMessage]:
    """A code that another browser brings is refused because of PKCE or the nonce, and of nothing else."""
    if isinstance(provider, CodeFlow) and not provider.descriptor.requests.notices_a_stolen_code:
        yield CheckWarning(
            f"Provider {provider.name!r} uses neither PKCE nor a nonce: a stolen code is not noticed.",
            hint='Leave out "pkce" or "nonce", unless the provider refuses both.',
            id="lazyauth.W015",
        )


def _end_of_secret(provider: Provider) -> Iterator[CheckMessage]:
    """A secret that is a JWT (Apple's) ends, and from then on nobody signs in."""
    ends_at = end_of(provider.descriptor.client_secret) if isinstance(provider, CodeFlow) else None
    if ends_at is None or ends_at - timezone.now() > SOON:
        return
    hint = 'Make a new one, or let this site sign it ("signed_secret").'
    ended = ends_at <= timezone.now()
    when = f"{'expired' if ended else 'expires'} on {ends_at.date().isoformat()}"
    text = f'The "client_secret" of provider {provider.name!r} is a JWT that {when}.'
    yield (
        Error(text, hint=hint, id="lazyauth.E021")
        if ended
        else CheckWarning(text, hint=hint, id="lazyauth.W016")
    )


def _brings_address(provider: ProviderDescriptor) -> bool:
    asks = "email" in provider.scopes or '"email"' in provider.requests.claims_parameter
    return provider.states_email_verified and (provider.type != "oidc" or asks)


def _shown(name: str) -> str:
    return repr(name[:64])


def _provider(provider: Provider) -> Iterator[CheckMessage]:
    if not re.fullmatch(r"[\w-]{1,64}", provider.name):
        yield Error(
            f"Provider name {_shown(provider.name)} must be letters, digits, - and _, at most 64.",
            id="lazyauth.E008",
        )
    if provider.registration not in _MODES:
        yield _wrong_registration(provider.name)
        return
    if provider.emits_commit and type(provider).finalize is Provider.finalize:
        yield Error(
            f"Provider {provider.name!r} emits a commit but does not implement finalize() "
            f"(registration: {mode_of(provider)}).",
            hint="What complete() commits would be lost: implement finalize(), or commit nothing.",
            id="lazyauth.E009",
        )


def check_domains() -> Iterator[CheckMessage]:
    if readable("sso_allowed_domains") is None or readable("sso_domains") is None:
        return  # E003 reports it.
    try:
        found = [*check_configuration(), *_fields_of_domains()]
    except Exception as error:  # noqa: BLE001 - a check reports whatever a wrong value leads to.
        found = [complaint(error)]
    for text in found:
        yield Error(f"SSO domains: {text}", id="lazyauth.E020")


def _fields_of_domains() -> Iterator[str]:
    for name in lazyauth_settings.sso_domains:
        domain = find_domain(normalise(name))
        if domain is not None and domain.descriptor is not None:
            people = domain.descriptor.people
            for text in _sync_complaints(partial(SyncTerms.of, people), people):
                yield f"{_shown(name)}: {text}."


def check_id_jags() -> Iterator[CheckMessage]:
    """Whose word counts without a page has to be clear, and SSO_ID_JAG readable."""
    value = readable("sso_id_jag")
    if value is not None:
        try:
            read_policy(value)
        except (Wrong, TypeError, ValueError) as wrong:
            predicate = wrong.predicate if isinstance(wrong, Wrong) else ""
            yield Error(
                f'LAZYAUTH["SSO_ID_JAG"] {predicate or f"must be {ID_JAG.words}"}.', id="lazyauth.E026"
            )
    speakers = [
        config
        for config in (readable("providers") or {}).values()
        if is_a(config, Mapping) and config.get("id_jag") and config.get("enabled", True) is not False
    ]
    issuers = Counter(config["issuer"] for config in speakers if is_a(config.get("issuer"), str))
    for issuer, count in issuers.items():
        if count > 1:
            yield Error(
                f"{count} providers with id_jag have the issuer {issuer}: which of them speaks is not clear.",
                id="lazyauth.E026",
            )
    if readable("issuer") in {*issuers, *(readable("id_jag_audiences") or ())}:
        yield Error(
            "A provider with id_jag, or an entry of ID_JAG_AUDIENCES, is this site.", id="lazyauth.E026"
        )
    audiences = readable("id_jag_audiences") or {}
    if readable("subject_type") == "pairwise" and not all(terms.sso_client for terms in audiences.values()):
        yield Error(
            "An entry of ID_JAG_AUDIENCES has no sso_client, and SUBJECT_TYPE is pairwise: which subject that server "
            "knows is not clear.",
            hint="Name the client here by which that server signs people in.",
            id="lazyauth.E027",
        )


def check_named_providers() -> Iterator[CheckMessage]:
    """Providers that other settings name must exist and hold tokens."""
    swap = readable("upstream_swap")
    clients = readable("upstream_token_clients") or {}
    policies = readable("token_exchange") or {}
    named: dict[str, list[Any]] = {
        "CHAINS": [name for chain in readable("chains") or () for name in chain.providers],
        "UPSTREAM_SWAP": list(swap.paths.values()) if swap else [],
        "UPSTREAM_TOKEN_CLIENTS": [name for names in clients.values() for name in names],
        "TOKEN_EXCHANGE": [name for policy in policies.values() for name in policy.upstreams],
    }
    for setting, names in named.items():
        for name in dict.fromkeys(names):
            if not _holds_tokens(name):
                yield Error(
                    f'LAZYAUTH["{setting}"] names {_shown(name)}, which is no provider with upstream tokens.',
                    id="lazyauth.E040",
                )


def _holds_tokens(name: str) -> bool:
    try:
        provider = get_provider(name)
        return bool(provider.emits_commit and provider.is_upstream)
    except Exception:  # noqa: BLE001 - E008 reports why it cannot be set up.
        return False
