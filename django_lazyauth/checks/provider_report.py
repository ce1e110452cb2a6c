"""Does each provider know this site, and does what it publishes fit? One report a provider, for an operator.

It runs when an operator asks: ``manage.py check_provider``, or "Try it" in the admin. It writes the provider's row and
no other. No finding holds a secret or what a provider says of a person.

Not here: what the provider is asked (:mod:`.provider_probe`), and the printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.core.checks import ERROR
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.models import GrantState, ProviderKeySet, UpstreamGrant
from django_lazyauth.openid.descriptor import SSO_PREFIX, ProviderDescriptor
from django_lazyauth.openid.domains import DomainInvalid, normalise
from django_lazyauth.openid.requests.signing import end_of
from django_lazyauth.providers.authorize_request import wants_offline
from django_lazyauth.providers.base import Provider
from django_lazyauth.providers.code_flow import CodeFlow
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.providers.sso import AskedDomain
from django_lazyauth.sessions.sign_out_there import return_uri
from django_lazyauth.sign_in.leg import callback_uri
from django_lazyauth.upstream import health

from .database import subject_rule_of
from .finding import Finding, Report, fix, note, ok
from .provider_probe import probe
from .providers import SOON, check_entry


def check_providers(names: Iterable[str] = (), *, offline: bool = False) -> list[Report]:
    """Return a report of each of *names*, or of every entry of ``PROVIDERS`` and ``SSO_DOMAINS``.

    Args:
        names: Logical names, and domains as ``sso:corp.example``.
        offline: Send no request.
    """
    entries = lazyauth_settings.providers
    every = [*entries, *(SSO_PREFIX + domain for domain in lazyauth_settings.sso_domains)]
    return [
        _report_of_domain(name, offline=offline)
        if name.startswith(SSO_PREFIX)
        else _report(name, entries.get(name), offline=offline)
        for name in names or every
    ]


def _report_of_domain(name: str, *, offline: bool) -> Report:
    try:
        provider = AskedDomain(SSO_PREFIX + normalise(name.removeprefix(SSO_PREFIX)), {})
    except (DomainInvalid, ProviderUnavailable):
        text = "Neither SSO_ALLOWED_DOMAINS nor SSO_DOMAINS lets this domain sign people in, or its entry is wrong."
        return Report(name, (fix("configuration", text),))
    found = [ok("configuration", "The domain may sign people in.")]
    found.append(note("redirect_uri", f"To be registered at its provider: {callback_uri(provider)}"))
    if not offline:
        found += probe(provider, callback_uri(provider))
    return Report(provider.name, (*found, *_grants(provider.name)))


def _report(name: str, entry: Mapping[str, Any] | None, *, offline: bool) -> Report:
    if entry is None:
        return Report(name, (fix("configuration", "There is no provider of this name."),))
    if entry.get("enabled", True) is False:
        return Report(name, (note("configuration", "It is disabled, so nobody can choose it."),))
    found = list(_configuration(name, entry))
    if any(finding.level == "fix" for finding in found):
        return Report(name, tuple(found))
    provider = get_provider(name)
    found += _registered(provider)
    if isinstance(provider, CodeFlow):
        found += _secret(provider.descriptor.client_secret)
        found.append(_offline(provider.descriptor))
        if not offline:
            found += probe(provider, callback_uri(provider))
    found += _stored(name)
    found += _grants(name)
    return Report(name, tuple(found))


def _configuration(name: str, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what ``manage.py check`` says of the entry."""
    messages = [*check_entry(name, entry), *subject_rule_of(name)]
    for message in messages:
        text = f"{message.id}: {message.msg}" + (f" {message.hint}" if message.hint else "")
        yield (fix if message.level >= ERROR else note)("configuration", text)
    if not messages:
        yield ok("configuration", "The entry can be used.")


def _registered(provider: Provider) -> Iterator[Finding]:
    if provider.is_upstream:
        yield note("redirect_uri", f"To be registered at the provider: {callback_uri(provider)}")
    if isinstance(provider, OpenIDProvider) and provider.descriptor.people.backchannel_logout:
        uri = lazyauth_settings.issuer_origin + reverse("lazyauth:upstream-logout", args=[provider.name])
        yield note("backchannel_logout_uri", f"May be registered at the provider: {uri}")
    if isinstance(provider, CodeFlow) and provider.descriptor.logout.upstream_logout != "never":
        yield note("post_logout_redirect_uri", f"To be registered at the provider: {return_uri()}")


@sensitive_variables()
def _secret(secret: str) -> Iterator[Finding]:
    """Yield how long a secret lives that is a JWT (Apple's)."""
    ends_at = end_of(secret)
    if ends_at is None:
        return
    left, day = ends_at - timezone.now(), ends_at.date().isoformat()
    # One that has ended is an error of the configuration, and nothing is asked then.
    text = f"The client secret is a JWT that is good for {left.days} days, until {day}."
    yield (ok if left > SOON else note)("client_secret", text)


def _offline(descriptor: ProviderDescriptor) -> Finding:
    """Return whether refresh tokens are asked for, and how."""
    if not wants_offline(descriptor):
        return note("offline", "It is not asked for refresh tokens: no setting uses its tokens.")
    requests = descriptor.requests
    params = (f"{name}={value}" for name, value in requests.offline_params.items())
    asked = ", ".join((*requests.offline_scopes, *params)) or "nothing of its own"
    when = {"once": "if it gives none", "always": "at each sign-in"}[requests.offline_prompt]
    return note("offline", f"It is asked for refresh tokens by {asked}, and for consent {when}.")


def _asked_in_vain(row: ProviderKeySet) -> Iterator[Finding]:
    if not row.asked_in_vain:
        return
    text = f"{row.asked_in_vain} answers in a row brought no refresh token although people were asked for consent."
    ends_at = health.rests_until(row)
    if ends_at is not None:
        text += f" Nobody is asked for it until {ends_at.isoformat(timespec='minutes')}."
    yield note("consent", text)


def _stored(name: str) -> Iterator[Finding]:
    """Yield what the provider's row says."""
    row = ProviderKeySet.objects.filter(pk=name).first()
    if row is None:
        yield note("stored", "Nothing is stored of it yet.")
        return
    if row.fetched_at is not None:
        yield note("stored", f"Metadata and keys are {_age(row.fetched_at)} old.")
    for text in row.notes if isinstance(row.notes, list) else ():
        yield note("metadata", f"Left out of its metadata: {text}")
    if row.last_error_at is not None:
        tries = f", {row.failures} in a row" if row.failures else ""
        yield note(
            "stored",
            f"The last fetch that failed was {_age(row.last_error_at)} ago ({row.last_error}{tries}).",
        )
    if row.method_found:
        yield note("method", f"The method that worked at its token endpoint: {row.method_found}")
    yield from _asked_in_vain(row)
    if row.signed_in_at is not None:
        yield note("sign_in", f"Somebody signed in {_age(row.signed_in_at)} ago.")
    if row.failed_at is not None:
        yield note("sign_in", f"The last sign-in that failed was {_age(row.failed_at)} ago ({row.failure}).")


def _grants(name: str) -> Iterator[Finding]:
    """Yield how many grants of its people are kept, in each state."""
    rows = UpstreamGrant.objects.filter(provider=name)
    counted = dict(rows.values_list("state").annotate(Count("pk")).order_by())
    if counted:
        standing = rows.filter(is_standing=True, state=GrantState.LIVE).count()
        each = ", ".join(f"{counted.get(state, 0)} {state}" for state in GrantState.values)
        yield note(
            "grants", f"Grants of its people: {each}. Of the live ones {standing} outlive a sign-in there."
        )


def _age(moment: datetime) -> str:
    seconds = max(0, int((timezone.now() - moment).total_seconds()))
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"
