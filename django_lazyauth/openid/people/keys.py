"""The rows of the keys that say whose tokens and which people this site takes, and the value that is made of them.

Not here: where address and name are, and the other keys (:mod:`django_lazyauth.openid.provider_settings`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypedDict

from django_lazyauth.openid.provider_kinds import FLAG, Key, Kind, choice
from django_lazyauth.openid.rules import Path, Rule, parse_path, reader

from . import kinds
from .id_jag import ID_JAG, IdJagPolicy

NonceHash = Literal["sha256"]
GroupsMode = Literal["mirror", "add"]

#: What fills the fields of a user, unless the operator says otherwise.
STANDARD_FIELDS: Final[tuple[tuple[str, Rule], ...]] = (
    ("first_name", parse_path("given_name")),
    ("last_name", parse_path("family_name")),
)

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
        "user_fields",
        kinds.user_fields(dict(STANDARD_FIELDS)),
        "What fills the fields of a [new user](#returning-people), where the user model has them. Fields that say who "
        "somebody is or what they may do, dates and relations are errors.",
        STANDARD_FIELDS,
        default_text="`first_name`: `given_name`, `last_name`: `family_name`",
    ),
    Key(
        "sync",
        kinds.SYNC,
        "`import`: `user_fields` fill a new user. `update`: also [one who comes back](#returning-people), where they "
        "still hold what was written. Or your own function.",
        "import",
    ),
    Key(
        "sync_fields",
        kinds.SYNC_FIELDS,
        "What `update` may write: fields of `user_fields`, and that of the address if it is named here.",
        None,
        default_text="those of `user_fields`",
    ),
    Key(
        "groups",
        Kind("a [rule](#rules)", reader(sources=("id_token", "userinfo", "token"))),
        f"Where the [groups](#groups) of a person are: a text or a list, at most {kinds.GROUPS_LIMIT} of at most "
        f"{kinds.GROUP_LIMIT} characters.",
        None,
        default_text="none",
    ),
    Key(
        "group_map",
        kinds.GROUP_MAP,
        "Group there → name of a Django group. Without it nothing is done. No group is created.",
        (),
        default_text="none",
    ),
    Key(
        "groups_mode",
        choice("mirror", "add"),
        "`mirror`: a user joins and leaves the groups that `group_map` names. `add`: they never leave one.",
        "mirror",
    ),
    Key(
        "keep_claims",
        kinds.KEPT_CLAIMS,
        "Claims that are kept with a person's account here, [as of the last sign-in](#returning-people). Nothing else "
        "of what the provider says is kept but address and name.",
        (),
    ),
    Key(
        "id_jag",
        ID_JAG,
        "Which clients get tokens [on its word alone](concepts/id-jag.md), without a page: `clients`, `scopes` and "
        "`resources`.",
        None,
        default_text="none",
        types=("oidc",),
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
    id_jag: Mapping[str, Any] | None
    accounts_of: str | Literal[False] | None
    legacy_subjects: Sequence[str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any]] | None
    user_fields: Mapping[str, str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any] | None] | None
    sync: str | Callable[..., Any] | None
    sync_fields: list[str] | tuple[str, ...] | None
    groups: str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any] | None
    group_map: Mapping[str, str] | None
    groups_mode: GroupsMode | None
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
    id_jag: IdJagPolicy | None = None
    accounts_of: str | Literal[False] = ""
    user_fields: tuple[tuple[str, Rule], ...] = STANDARD_FIELDS
    sync: Any = "import"
    sync_fields: tuple[str, ...] = tuple(name for name, _ in STANDARD_FIELDS)
    groups: Rule | None = None
    group_map: tuple[tuple[str, str], ...] = ()
    groups_mode: GroupsMode = "mirror"
    keep_claims: tuple[tuple[str, Path], ...] = ()

    def rules(self) -> Iterator[tuple[str, Rule, tuple[str, ...]]]:
        """Yield each rule about claims with its key, and with the sources that only it may name."""
        for path, _ in self.allow:
            yield "allow", path, ()
        for _, path in self.keep_claims:
            yield "keep_claims", path, ()
        if self.groups is not None:
            yield "groups", self.groups, ()
        for name, rule in self.user_fields:
            # Apple's name of a person is in nothing that is signed.
            yield "user_fields", rule, ("answer",) if name in dict(STANDARD_FIELDS) else ()


def people_from(values: Mapping[str, Any]) -> People:
    """Return the value of the keys that are fields of :class:`People`; *values* may hold others."""
    names = {one.name for one in fields(People)}
    found = {name: value for name, value in values.items() if name in names}
    if found.get("authorized_parties") is None:
        found["authorized_parties"] = found.get("audiences", ())
    if found.get("sync_fields") is None:
        found["sync_fields"] = tuple(name for name, _ in found.get("user_fields", STANDARD_FIELDS))
    return People(**found)
