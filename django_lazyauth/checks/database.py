"""Do the databases carry what an exchange does?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import DatabaseError, connections, router
from django.utils import timezone

from django_lazyauth.clients.redirects import is_safe_redirect_uri
from django_lazyauth.conf.messages import readable
from django_lazyauth.errors import ProviderError
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, ProviderKeySet, UpstreamToken
from django_lazyauth.openid.people.id_jag import IdJagPolicy, read_policy
from django_lazyauth.openid.provider_kinds import Wrong
from django_lazyauth.providers.registry import get_provider, upstream_types
from django_lazyauth.toolkit.client_methods import column_method, is_served, must_prove
from django_lazyauth.toolkit.clients import (
    REGISTRATION,
    get_client_model,
    is_self_registered,
    load_client,
    token_models,
)
from django_lazyauth.toolkit.documents import is_document
from django_lazyauth.toolkit.scopes import extra_schemes
from django_lazyauth.upstream import subject_rule
from django_lazyauth.users.subjects import hosts_of

#: Clients that are looked at.
LOOKED_AT: Final = 1000


def check_databases() -> Iterator[CheckMessage]:
    models = [PendingAuthorization, ProviderIdentity, UpstreamToken, get_user_model(), *token_models()]
    if len({router.db_for_write(model) for model in models}) > 1:
        yield Error(
            "Users, tokens and the rows of this app must live in one database: an exchange is one transaction.",
            id="lazyauth.E010",
        )
    if not settings.USE_TZ:
        yield Error(
            "USE_TZ is off: times of tokens, codes and upstreams are compared as aware times.",
            hint="Set USE_TZ = True.",
            id="lazyauth.E013",
        )
    connection = connections[router.db_for_write(PendingAuthorization)]
    # The default is completed when the site starts (models/sqlite): only another mode that the site names remains.
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode") or "DEFERRED"
    if connection.vendor == "sqlite" and mode.upper() == "DEFERRED":
        yield CheckWarning(
            "Two exchanges at once may fail on SQLite with deferred transactions.",
            hint='Remove "transaction_mode" from DATABASES["default"]["OPTIONS"], or set it to "IMMEDIATE".',
            id="lazyauth.W001",
        )
    if connections[router.db_for_write(UpstreamToken)].settings_dict["ATOMIC_REQUESTS"]:
        yield CheckWarning(
            "With ATOMIC_REQUESTS a view cannot refresh an upstream token, because a transaction is open.",
            hint="Mark such views with transaction.non_atomic_requests.",
            id="lazyauth.W040",
        )


def check_pooler(
    app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn where a cursor of the server could be declared on one connection and read on another.

    This app opens no such cursor. ``QuerySet.iterator()`` of other code does.
    """
    using = router.db_for_write(PendingAuthorization)
    connection: Any = connections[using]
    is_asked = using in (databases or ()) and connection.vendor == "postgresql"
    if not is_asked or connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return []
    try:
        is_pooled = _is_behind_pooler(connection)
    except DatabaseError:
        return []
    if not is_pooled:
        return []
    return [
        CheckWarning(
            "A pooler stands before the database, and DISABLE_SERVER_SIDE_CURSORS is off. In transaction mode "
            "QuerySet.iterator() fails.",
            hint=f'Set DATABASES["{using}"]["DISABLE_SERVER_SIDE_CURSORS"] = True (see docs/databases.md).',
            id="lazyauth.W041",
        )
    ]


def check_provider_keys(
    app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of a provider that did not answer for half the time after which its keys are no longer believed."""
    using = router.db_for_write(ProviderKeySet)
    longest: timedelta | None = readable("provider_keys_max_age")
    if using not in (databases or ()) or longest is None or not readable("providers"):
        return []
    names = [name for name, kind in upstream_types().items() if kind == "oidc"]
    old = timezone.now() - longest / 2
    try:
        rows = list(ProviderKeySet.objects.using(using).filter(provider__in=names, fetched_at__lt=old))
    except DatabaseError:
        return []
    return [
        CheckWarning(
            f"The keys of provider {row.provider!r} are of {row.fetched_at:%Y-%m-%d %H:%M} UTC. Nobody signed in with "
            f"it since, or it does not answer ({row.last_error or 'no error'}).",
            hint=f"Run manage.py refresh_provider_keys {row.provider}.",
            id="lazyauth.W042",
        )
        for row in rows
    ]


def check_subject_rules(
    app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report a provider whose people would all become second users."""
    if router.db_for_write(ProviderKeySet) not in (databases or ()):
        return []
    names = readable("providers") or {}
    try:
        kept = subject_rule.kept_rules(names) if names else {}
    except DatabaseError:
        return []  # Before the first migration.
    return [message for name in names for message in subject_rule_of(name, kept.get(name, []))]


def subject_rule_of(name: str, kept: Any = None) -> list[CheckMessage]:
    """Return what is wrong with the rule of one provider and the identities that exist."""
    try:
        has_changed = subject_rule.has_changed(get_provider(name), kept)
    except (DatabaseError, ProviderError):
        return []  # Before the first migration, or E008 reports why it cannot be set up.
    if not has_changed:
        return []
    text = f'The "subject" of provider {name!r} changed, and people have accounts by the earlier rule.'
    hint = 'Name the earlier rule in "legacy_subjects": people are moved as they sign in. Or put it back.'
    return [Error(text, hint=hint, id="lazyauth.E023")]


def check_assertion_clients(
    app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report names in ``ASSERTION_AUDIENCE_COMPAT`` that are no client of the operator's: they have no effect."""
    rows = _clients(readable("assertion_audience_compat") or (), databases)
    return [
        Error(
            f'LAZYAUTH["ASSERTION_AUDIENCE_COMPAT"] names {name!r}, which is no client that an operator made.',
            hint="Others must sign for the issuer.",
            id="lazyauth.E024",
        )
        for name, row in rows.items()
        if row is None or is_self_registered(row)
    ]


def check_exchanging_clients(
    app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report clients that the settings let act for people, and that do not prove themselves: they get nothing."""
    audiences = list((readable("id_jag_audiences") or {}).values())
    named = {
        "TOKEN_EXCHANGE": list(readable("token_exchange") or ()),
        "ID_JAG_AUDIENCES": [name for terms in audiences for name in terms.clients],
        "PROVIDERS": [name for policy in _id_jag_policies() for name in policy.clients],
    }
    found = [
        (setting, name)
        for setting, names in named.items()
        for name, row in _clients(names, databases).items()
        # The document of a client whose id is a URL may not have been read yet.
        if (row is None and not is_document(name)) or (row is not None and not must_prove(row))
    ]
    signing_in = [terms.sso_client for terms in audiences if terms.sso_client]
    found += [
        ("ID_JAG_AUDIENCES", name) for name, row in _clients(signing_in, databases).items() if row is None
    ]
    return [
        Error(
            f'LAZYAUTH["{setting}"] names {name!r}, which is no client that proves itself.',
            hint="Make a confidential client with this id.",
            id="lazyauth.E025",
        )
        for setting, name in found
    ]


def _id_jag_policies() -> Iterator[IdJagPolicy]:
    """Yield the policies by which clients have to prove themselves."""
    providers = [one for one in (readable("providers") or {}).values() if isinstance(one, Mapping)]
    for value in [*(one.get("id_jag") for one in providers), readable("sso_id_jag")]:
        with suppress(Wrong, TypeError, ValueError):  # E008 or E026 reports it.
            if value is not None and not (policy := read_policy(value)).public_clients:
                yield policy


def check_sectors(
    app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report clients of operators whose redirect URIs name several hosts where people have a subject for each host."""
    if readable("subject_type") != "pairwise" or router.db_for_write(get_client_model()) not in (
        databases or ()
    ):
        return []
    rows = get_client_model()._default_manager.filter(redirect_uris__contains=" ").order_by("pk")
    try:
        several = [
            row
            for row in rows[:LOOKED_AT]
            if not is_self_registered(row) and len(hosts_of(row.redirect_uris.split())) > 1
        ]
    except DatabaseError:
        return []  # Before the first migration.
    return [
        CheckWarning(
            f"The redirect URIs of client {row.client_id!r} have several hosts, so it is a sector by itself: people "
            "have a subject that no other client of these hosts sees.",
            hint="Make a client for each host.",
            id="lazyauth.W026",
        )
        for row in several
    ]


def check_redirect_uris(
    app_configs: Any, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report clients of operators that django-oauth-toolkit served as they are, and this site does not."""
    model = get_client_model()
    if router.db_for_write(model) not in (databases or ()):
        return []
    of_operators = model._default_manager.filter(registration_source=model.RegistrationSource.MANUAL)
    rows = of_operators.select_related(REGISTRATION).order_by("pk")
    try:
        found = [(row, _why_refused(row)) for row in rows[:LOOKED_AT]]
    except DatabaseError:
        return []  # Before the first migration.
    return [
        CheckWarning(
            f"Client {row.client_id!r} is refused as it is: {reason}.",
            hint="People sign in by the authorization code grant, at redirect URIs with https, on loopback or of apps. "
            "Clients prove themselves with a secret or by private_key_jwt.",
            id="lazyauth.W029",
        )
        for row, reason in found
        if reason
    ]


def _why_refused(row: Any) -> str:
    if not is_served(row):
        return f"the method {column_method(row)[:200]!r} is not served"
    if row.authorization_grant_type in (row.GRANT_CLIENT_CREDENTIALS, row.GRANT_DEVICE_CODE):
        return ""  # Nobody is sent anywhere.
    if row.authorization_grant_type in (row.GRANT_IMPLICIT, row.GRANT_PASSWORD):
        return f"the grant {row.authorization_grant_type} is not served"
    schemes = extra_schemes()
    refused = [
        uri for uri in row.redirect_uris.split() if not is_safe_redirect_uri(uri, extra_schemes=schemes)
    ]
    return f"the redirect URI {refused[0][:200]!r} is not allowed" if refused else ""


def _clients(names: Iterable[str], databases: Sequence[str] | None) -> dict[str, Any]:
    """Return the client of each name, or ``None``; nothing where the database is not asked."""
    if router.db_for_write(get_client_model()) not in (databases or ()):
        return {}
    try:
        return {name: load_client(name) for name in names}
    except DatabaseError:
        return {}  # Before the first migration.


def _is_behind_pooler(connection: Any) -> bool:
    """Say whether the server's process is another than the one that answered when the connection was made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    info = getattr(connection.connection, "info", None)
    return bool(info is not None and info.backend_pid != pid)
