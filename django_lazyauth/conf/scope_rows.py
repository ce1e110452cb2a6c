"""Rows of the table about what a token is good for: scopes, how strongly a person signed in, for how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, get_args

from . import kinds
from .hierarchy import HIERARCHY
from .kinds import choice, duration
from .nested import ACR_VALUE, PROTECTED_RESOURCES, ProtectedResource
from .setting import DeployLimit, Kind, Setting, read

RefreshTokens = Literal["always", "offline_access"]
SubjectType = Literal["public", "opaque", "pairwise"]


YEAR = timedelta(days=365)
#: What a callable may return, and what ``check --deploy`` accepts.
LONGEST_CHOSEN = timedelta(hours=1)
Lifetime = timedelta | Callable[..., Any]


def _lifetime(value: Any) -> Lifetime:
    if kinds.is_a(value, str) or callable(value):
        return kinds.code(value)
    return duration(at_most=YEAR).read(value)


class ScopeRows:
    """Base of :class:`~django_lazyauth.conf.table.LazyAuthSettings`."""

    access_token_lifetime: Setting[Lifetime] = Setting(
        Kind(
            "seconds or a timedelta, more than 0 and at most 365 days, or a callable or its dotted path that returns "
            "one of at most 1 h",
            _lifetime,
        ),
        "How long an access token lives. A [callable](extending.md#tokens) says it for each token.",
        default=timedelta(minutes=10),
        deploy=DeployLimit(LONGEST_CHOSEN, "lazyauth.E109"),
    )
    id_token_lifetime = Setting(
        duration(at_most=YEAR), "How long an ID token lives.", default=timedelta(minutes=10)
    )
    token_claims = Setting(
        kinds.optional(kinds.CODE),
        "A function that [adds claims](extending.md#tokens) to access tokens, or to the introspection of opaque ones.",
        default=None,
        default_text="nothing",
    )
    id_token_claims = Setting(
        kinds.optional(kinds.CODE),
        "A function that [adds claims](extending.md#tokens) to ID tokens and userinfo.",
        default=None,
        default_text="nothing",
    )

    scope_hierarchy = Setting(
        HIERARCHY,
        "Scope → the scopes that it contains: a token with the one passes where the others are needed. What is granted "
        "stays as it was allowed. See [step-up](concepts/step-up.md#scopes-that-contain-others).",
        default={},
    )
    acr_values = Setting(
        kinds.items('a list of authentication context classes, such as "urn:example:mfa"', ACR_VALUE.read),
        "What clients may ask for in `acr_values`, for the metadata. A provider brings people there by its own "
        "[`acr_values`](providers.md); one that does not name such a value never states it. See "
        "[step-up](concepts/step-up.md).",
        default=[],
    )
    subject_type: Setting[SubjectType] = Setting(
        choice(*get_args(SubjectType)),
        "What clients call a person, in `sub`: the primary key, a random text that all clients see, or a random text "
        "for each host of clients. A change makes every person a stranger to every client, unless `keep_subjects` ran "
        "before. See [subjects](concepts/answers.md#what-clients-call-a-person).",
        default="public",
    )
    refresh_tokens: Setting[RefreshTokens] = Setting(
        choice(*get_args(RefreshTokens)),
        "Which sessions get refresh tokens, of clients that registered for them: all, or those that the person allowed "
        "`offline_access`. A session that has one goes on.",
        default="always",
    )
    protected_resources: Setting[Mapping[str, ProtectedResource] | None] = Setting(
        kinds.optional(PROTECTED_RESOURCES),
        "Paths that are described as protected resources (RFC 9728), each with what is said of it: see below. Not set: "
        "every path that the URL configuration leads somewhere, and what is behind `UPSTREAM_SWAP`. The site as a "
        "whole always is one.",
        default=None,
        default_text="what the site serves",
    )

    @property
    def longest_access_token(self) -> timedelta:
        """The longest that an access token can live."""
        lifetime = self.access_token_lifetime
        return lifetime if isinstance(lifetime, timedelta) else LONGEST_CHOSEN

    def access_token_lifetime_for(self, issued_for: Any) -> timedelta:
        """Return how long an access token lives that is issued for somebody.

        Raises:
            ImproperlyConfigured: The callable returned something else than a lifetime.
        """
        lifetime = self.access_token_lifetime
        if isinstance(lifetime, timedelta):
            return lifetime
        return read(duration(at_most=LONGEST_CHOSEN), lifetime(issued_for), "ACCESS_TOKEN_LIFETIME")
