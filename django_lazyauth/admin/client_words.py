"""What holds for a client, in words for an operator. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.toolkit import client_methods, client_policies, clients

if TYPE_CHECKING:
    from django_lazyauth.clients.by_key.keys import LastFetch


def policies_in_words(client: clients.Client) -> Iterator[str]:
    """Yield a sentence for each rule that the endpoints follow for *client*."""
    yield _authentication(client)
    grants = [grant for grant in clients.OPERATORS_GRANTS if clients.may_use_grant(client, grant)]
    yield _("Grants: %s.") % (", ".join(grants) or "–")
    if clients.may_skip_consent(client):
        yield _("Nobody is asked for consent.")
    if client_methods.may_use_key(client):
        yield from _about_assertions(client)
    if client_policies.wants_bound_tokens(client):
        yield _("Its tokens are bound to a key (DPoP).")
    if client_policies.must_push(client):
        yield _("Its authorization requests are pushed.")
    yield from _about_signed_requests(client)
    seconds = client_policies.default_max_age(client)
    if seconds is not None:
        words = ngettext(
            "A sign-in counts for %d second, unless its request says otherwise.",
            "A sign-in counts for %d seconds, unless its request says otherwise.",
            seconds,
        )
        yield words % seconds
    yield from _about_delegation(client)
    if wanted := client_policies.default_acr_values(client):
        yield _("A sign-in is one of %s, unless its request says otherwise.") % ", ".join(wanted)


def _authentication(client: clients.Client) -> str:
    if not client_methods.is_served(client):
        return _("It cannot prove itself here: %s is not served.") % client_methods.column_method(client)
    if client_methods.may_use_key(client):
        if not client_methods.must_prove(client):
            return _("It proves itself with a key, or not at all.")
        if client_methods.may_use_secret(client):
            return _("It proves itself with a key or with its secret.")
        return _("It proves itself with a key.")
    if client_methods.must_prove(client):
        return _("It proves itself with its secret.")
    return _("It does not prove itself: it is public.")


def _about_assertions(client: clients.Client) -> Iterator[str]:
    if algorithm := client_methods.signing_algorithm(client):
        yield _("It signs with %s only.") % algorithm
    is_compat = client.client_id in lazyauth_settings.assertion_audience_compat
    if is_compat and not clients.is_self_registered(client):
        yield _("The URL of an endpoint is taken as the audience of its assertions.")


def _about_signed_requests(client: clients.Client) -> Iterator[str]:
    if client_policies.must_sign_requests(client):
        yield _("Its authorization requests are signed.")
    if algorithm := client_policies.request_algorithm(client):
        yield _("It signs requests with %s only.") % algorithm


def _about_delegation(client: clients.Client) -> Iterator[str]:
    policy = lazyauth_settings.token_exchange.get(client.client_id)
    if policy is None or not client_methods.must_prove(client):
        return
    if policy.audiences:
        yield _("It acts for people at %(audiences)s with %(scopes)s at most.") % {
            "audiences": ", ".join(policy.audiences),
            "scopes": " ".join(policy.scopes) or "–",
        }
    if policy.upstreams:
        yield _("It gets people's own tokens of %s.") % ", ".join(policy.upstreams)


def fetch_in_words(last: LastFetch) -> str | None:
    """Say when keys were fetched, and what failed since; ``None`` if neither was."""
    said = []
    if last.fetched_at is not None:
        said.append(_("fetched %s") % _time(last.fetched_at))
    if last.failed_at is not None:
        said.append(_("failed %(time)s: %(reason)s") % {"time": _time(last.failed_at), "reason": last.reason})
    return "; ".join(said) or None


def _time(moment: Any) -> str:
    return date_format(localtime(moment), "DATETIME_FORMAT")
