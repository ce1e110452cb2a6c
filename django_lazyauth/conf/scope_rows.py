"""Rows of the table about what a token is good for: scopes, how strongly a person signed in, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from . import kinds
from .hierarchy import HIERARCHY
from .kinds import choice
from .nested import ACR_VALUE, PROTECTED_RESOURCES, ProtectedResource
from .setting import Setting

RefreshTokens = Literal["always", "offline_access"]


class ScopeRows:
    """Base of :class:`~django_lazyauth.conf.table.LazyAuthSettings`."""

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
