"""The rooms that the pages of the admin call, imported when a page first calls one.

Django imports every ``admin`` module at each start, also for a worker or a command that shows no page. The rooms behind
the pages are most of this package, urllib3 and cryptography.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from django_lazyauth.checks import provider_report as provider_report
    from django_lazyauth.clients import members as members
    from django_lazyauth.clients import metadata as metadata
    from django_lazyauth.clients import operator_actions as operator_actions
    from django_lazyauth.clients import redirects as redirects
    from django_lazyauth.clients import registration as registration
    from django_lazyauth.clients import search as search
    from django_lazyauth.clients.by_key import assertion as assertion
    from django_lazyauth.clients.shown import logo as logo
    from django_lazyauth.providers import key_refresh as key_refresh
    from django_lazyauth.providers import registry as registry
    from django_lazyauth.sessions import end as end
    from django_lazyauth.sessions import ending_job as ending_job
    from django_lazyauth.sessions import logout_queue as logout_queue
    from django_lazyauth.sessions import revoked as revoked
    from django_lazyauth.sign_in import identities as identities
    from django_lazyauth.tokens import family as family
    from django_lazyauth.users import people as people

_MODULES: Final = {
    "assertion": "clients.by_key.assertion",
    "client_keys": "clients.by_key.keys",
    "end": "sessions.end",
    "ending_job": "sessions.ending_job",
    "family": "tokens.family",
    "identities": "sign_in.identities",
    "key_refresh": "providers.key_refresh",
    "logo": "clients.shown.logo",
    "logout_queue": "sessions.logout_queue",
    "members": "clients.members",
    "metadata": "clients.metadata",
    "operator_actions": "clients.operator_actions",
    "people": "users.people",
    "provider_report": "checks.provider_report",
    "redirects": "clients.redirects",
    "registration": "clients.registration",
    "registry": "providers.registry",
    "revoked": "sessions.revoked",
    "search": "clients.search",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"django_lazyauth.{_MODULES[name]}")
