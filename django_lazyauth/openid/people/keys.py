"""The rows of the keys that say whose tokens and which people this site takes, and the value that is made of them.

Not here: where address and name are, and the other keys (:mod:`django_lazyauth.openid.provider_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypedDict

from django_lazyauth.openid.provider_kinds import FLAG, Key, choice
from django_lazyauth.openid.rules import Path, Rule

from . import kinds

NonceHash = Literal["sha256"]

PEOPLE_KEYS: Final = (
    Key(
        "issuer_aliases",
        kinds.ISSUERS,
        "Further names of the issuer, in its tokens and its metadata. Identities are kept with `issuer`. An alias has "
        "the placeholders of the issuer.",
        (),
        types=("oidc",),
    ),
    Key(
        "audiences",
        kinds.CLIENT_IDS,
        "Client ids of native apps at the provider. An ID token that an app [hands over](#native-apps) may be for one "
        "of them. The code flow takes `client_id` only.",
        (),
        types=("oidc",),
    ),
    Key(
        "authorized_parties",
        kinds.CLIENT_IDS,
        "Further values of `azp` (OpenID Connect Core §2).",
        None,
        default_text="`audiences`",
        types=("oidc",),
    ),
    Key(
        "backchannel_logout",
        FLAG,
        "Whether the provider may end the sessions that it signed in, by "
        "[logout tokens](concepts/sessions.md#signed-out-at-the-provider).",
        True,
        types=("oidc",),
    ),
    Key(
        "nonce_hash",
        choice("sha256"),
        "An ID token that an app hands over may hold the hex hash of the nonce in its place, as Apple's do.",
        default_text="none",
        types=("oidc",),
    ),
    Key(
        "allow",
        kinds.ALLOW,
        "Who may sign in: [path](#rules) of a claim → values. Of each path one value must be there, or in the list "
        "that is there. UserInfo is asked for what the ID token does not have, and then has to answer.",
        (),
        default_text="everybody",
    ),
    Key(
        "tenants",
        kinds.TENANTS,
        "Whose people may sign in, where `issuer` has a placeholder: its values. Several placeholders are joined by "
        "`:`.",
        (),
        default_text="all",
        types=("oidc",),
    ),
    Key(
        "legacy_subjects",
        kinds.LEGACY_SUBJECTS,
        "What the subject of people was before. Who is not found by `subject` is found by one of them, "
        "[once](#earlier-subjects). An issuer with placeholders needs `tenants` for it.",
        (),
    ),
    Key(
        "keep_claims",
        kinds.KEPT_CLAIMS,
        "Claims that are kept with a person's account here, [as of the last sign-in](#returning-people). Nothing else "
        "of what the provider says is kept but address and name.",
        (),
    ),
    Key(
        "accounts_of",
        kinds.ACCOUNTS_OF,
        "Another provider of the same issuer, whose accounts [these are too](#two-providers-of-one-issuer). `False`: "
        "they are other accounts, on purpose.",
        default_text="none",
        types=("oidc",),
    ),
)


class PeopleConfig(TypedDict, total=False):
    """These keys in an entry of ``LAZYAUTH["PROVIDERS"]``, for type checkers."""

    issuer_aliases: list[str] | tuple[str, ...] | None
    audiences: list[str] | tuple[str, ...] | None
    authorized_parties: list[str] | tuple[str, ...] | None
    backchannel_logout: bool | None
    nonce_hash: NonceHash | None
    allow: Mapping[str, list[str | int | bool] | tuple[str | int | bool, ...]] | None
    tenants: list[str] | tuple[str, ...] | None
    accounts_of: str | Literal[False] | None
    legacy_subjects: Sequence[str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any]] | None
    keep_claims: list[str] | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class People:
    """Whose tokens and which people this site takes. Each field is the key of that name."""

    issuer_aliases: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    authorized_parties: tuple[str, ...] = ()
    backchannel_logout: bool = True
    nonce_hash: NonceHash | Literal[""] = ""
    allow: tuple[tuple[Path, tuple[str | int | bool, ...]], ...] = ()
    tenants: tuple[str, ...] = ()
    legacy_subjects: tuple[Rule, ...] = ()
    accounts_of: str | Literal[False] = ""
    keep_claims: tuple[tuple[str, Path], ...] = ()


def people_from(values: Mapping[str, Any]) -> People:
    """Return the value of the keys that are fields of :class:`People`; *values* may hold others."""
    names = {one.name for one in fields(People)}
    found = {name: value for name, value in values.items() if name in names}
    if found.get("authorized_parties") is None:
        found["authorized_parties"] = found.get("audiences", ())
    return People(**found)
