"""How pages name clients, scopes, resources, providers and users. Names from strangers are cleaned."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.encoding import iri_to_uri, punycode
from django.utils.translation import gettext, gettext_noop

from django_lazyauth.clients.redirects import host_of, is_on_device
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderError
from django_lazyauth.models import GrantKind
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.resource_server.described import name_of_resource
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.scopes import host_description

from .design.client_logo import logo_url

MAX_NAME_LENGTH = 80
#: The heading of scopes that have no group, below those that have one.
OTHER = gettext_noop("Other")
#: Removed from names: controls, invisible format characters (bidi overrides), surrogates and private use.
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class ClientCard:
    """What a page shows of a client.

    Attributes:
        name: The client's own words, cleaned.
        host: The host that the answer goes to, or the scheme of an app.
        is_on_device: It goes to a program on the person's own machine.
        site: Its own page; empty unless an operator stands for the client. So are the next two.
        policy: How it treats personal data.
        terms: Its terms of use.
        logo: Address of its picture here.
    """

    name: str
    host: str
    is_unverified: bool
    is_on_device: bool
    site: str = ""
    policy: str = ""
    terms: str = ""
    logo: str = ""


@dataclass(frozen=True, slots=True)
class ScopeGroup:
    """Scopes that stand together on the consent page.

    Attributes:
        heading: In the words of the settings; empty for those that have none.
        lines: Pairs of a scope and what it allows.
    """

    heading: str
    is_sensitive: bool
    lines: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ResourceCard:
    """What a page shows of a resource (RFC 8707).

    Attributes:
        name: In the words of the settings; empty where they have none.
        host: As browsers show it, so that no letter of another script passes for one of ours.
        path: Only without a name. It is the client's own words.
    """

    name: str
    host: str
    path: str = ""


def client_card(client: Any, redirect_uri: str = "") -> ClientCard:
    """Return what to show of *client*; without *redirect_uri*, the host of its first one."""
    if client.client_id == clients.ACCOUNT_CLIENT_ID:
        # Our own page. Its row is named after the host.
        return ClientCard(lazyauth_settings.site_name, "", is_unverified=False, is_on_device=False)
    said = unicodedata.normalize("NFC", client.name or client.client_id)
    name = "".join(
        character for character in said if unicodedata.category(character) not in HIDDEN_CATEGORIES
    )
    name = " ".join(name.split())
    name = _shortened(name)
    target = redirect_uri or next(iter(client.redirect_uris.split()), "")
    is_verified = clients.is_verified(client)
    links = _links_of(client) | {"logo": logo_url(client)} if is_verified else {}
    return ClientCard(
        name or client.client_id, host_of(target), not is_verified, is_on_device(target), **links
    )


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…"


def _links_of(client: Any) -> dict[str, str]:
    """Return the addresses that the client registered of itself (RFC 7591 §2)."""
    registration = clients.registration_of(client)
    metadata = registration.metadata if registration else {}
    named = {"site": "client_uri", "policy": "policy_uri", "terms": "tos_uri"}
    found = {name: metadata.get(member) for name, member in named.items()}
    return {name: uri for name, uri in found.items() if isinstance(uri, str) and uri.startswith("https://")}


def resource_cards(resources: Sequence[str]) -> list[ResourceCard]:
    """Return the resources as pages show them, each once: several may be parts of one that has a name."""
    return list(dict.fromkeys(map(_resource_card, resources)))


def _resource_card(resource: str) -> ResourceCard:
    parts = urlsplit(resource)
    try:
        host = iri_to_uri(punycode(parts.netloc))
    except UnicodeError:
        host = iri_to_uri(parts.netloc)
    if name := name_of_resource(resource, site=lazyauth_settings.issuer_origin):
        return ResourceCard(name, host)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return ResourceCard("", host, _shortened(iri_to_uri(path.removesuffix("/"))))


def scope_groups(scopes: list[str] | tuple[str, ...]) -> list[ScopeGroup]:
    """Return the scopes as the consent page shows them: what is sensitive first, then by group, in their order.

    What has no group would read as part of the group above it: it stands last of its weight then, below a heading.
    """
    rows = lazyauth_settings.scopes
    groups: dict[tuple[bool, str], list[tuple[str, str]]] = {}
    for scope, words in scope_lines(scopes):
        row = rows.get(scope)
        key = (row is not None and row.weight == "sensitive", str(row.group) if row else "")
        groups.setdefault(key, []).append((scope, words))
    first: list[ScopeGroup] = []
    last: list[ScopeGroup] = []
    for (is_sensitive, heading), lines in sorted(groups.items(), key=lambda item: not item[0][0]):
        if heading or not any(group.heading for group in first):
            first.append(ScopeGroup(heading, is_sensitive, lines))
        else:
            last.append(ScopeGroup(OTHER, is_sensitive, lines))
    return sorted(first + last, key=lambda group: not group.is_sensitive)


def card_of(asked: Any) -> ClientCard:
    """Return what to show of the client of *asked*, a request or its row. A device is no host that anybody goes to."""
    if getattr(asked, "grant", GrantKind.CODE) == GrantKind.DEVICE:
        return replace(client_card(asked.client), host="")
    return client_card(asked.client, asked.redirect_uri)


def scope_lines(scopes: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (scope, what it allows) for the consent page. A scope that nothing describes describes itself."""
    return [(scope, _words_for(scope)) for scope in scopes]


def _words_for(scope: str) -> str:
    words = lazyauth_settings.scopes
    kind, _colon, provider = scope.partition(":")
    if scope in words or kind != "upstream":
        return str(words[scope].text) if scope in words else host_description(scope)
    return gettext("Act as you at %s: it gets a token of yours there") % name_of_provider(provider)


def name_of_provider(name: str) -> str:
    """Return how a page names the provider *name*: its display name, the domain of SSO, or else *name*."""
    if not name or name.startswith(SSO_PREFIX):
        return name.removeprefix(SSO_PREFIX)
    try:
        return get_provider(name).display_name
    except ProviderError:
        return name


def name_of_user(user: AbstractBaseUser) -> str:
    """Return how a page names a user: the e-mail address, or else the user name."""
    email = getattr(user, user.get_email_field_name(), "")
    return email or user.get_username()
