"""What of a provider's documents about a person is used: address, name, and the claims that a host gets.

Nothing here refuses a person. A value that cannot be used is as if it was not there, and a line in the log names the
claim and the reason, never the value.

Not here: who the person is (:mod:`django_lazyauth.openid.verify`), and where the documents come from.
"""

from __future__ import annotations

import json
import logging
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.openid.descriptor import EmailRules, ProviderDescriptor
from django_lazyauth.openid.people.keys import People
from django_lazyauth.openid.people.kinds import GROUP_LIMIT, GROUPS_LIMIT
from django_lazyauth.openid.provider_kinds import SHOWN_NAME_LIMIT, is_a
from django_lazyauth.openid.rules import SOURCES, Documents, Path, Rule, as_text, find, is_one_of, paths_of

from .token_answers import TOKENS, without_names

logger = logging.getLogger("django_lazyauth.upstream")

#: Characters of an address (RFC 5321 §4.5.3.1.3, without the angle brackets).
EMAIL_LIMIT: Final = 254
#: Of the claims that a host gets: levels of lists and objects in one, and bytes of all as JSON.
DEPTH_LIMIT: Final = 8
CLAIMS_LIMIT: Final = 16 * 1024
#: The same of a provider that nobody configured.
STRANGERS_CLAIMS_LIMIT: Final = 4 * 1024
#: An integer of more digits is none.
_INTEGER_BOUND: Final = 10**255
#: Claims that a line of the log names.
_NAMED_LIMIT: Final = 8
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.:/@-]{1,64}")
#: Claims of an ID token that are of no use to a host.
_CONSUMED: Final = frozenset(
    {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce"}
    | {"at_hash", "c_hash", "s_hash", "auth_time", "amr", "acr"}
)


class Unused(StrEnum):
    """Why a claim is not used."""

    TOO_LONG = "too_long"
    TYPE = "type"
    CONTROL = "control"
    DEEP = "deep"


@dataclass(frozen=True, slots=True)
class Profile:
    """What is used.

    Attributes:
        email_verified: The document that ``email`` is from says so, and the provider is trusted to know.
        name: At most 128 characters.
        claims: For the host: the members of ID token and UserInfo. JSON, at most 16 KiB, of a stranger 4 KiB.
        raw: For the host: source → what it said, without tokens. The same limit.
        user_fields: What ``user_fields`` finds: texts, numbers and flags. The same limit.
        groups: What ``groups`` finds; ``None`` where nobody asks, or what is there cannot be read.
        kept: What ``keep_claims`` names, by its paths. The same limit.
        unused: Claim → why it is not used.
        is_partial: UserInfo might have said more, and did not.
    """

    email: str = ""
    email_verified: bool = False
    name: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    raw: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    user_fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    groups: tuple[str, ...] | None = None
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False)
    unused: Mapping[str, Unused] = field(default_factory=dict)
    is_partial: bool = False

    @property
    def known_groups(self) -> tuple[str, ...] | None:
        """The groups; ``None`` where there may be others."""
        return None if self.is_partial and not self.groups else self.groups


def read_profile(documents: Documents, provider: ProviderDescriptor) -> Profile:
    """Return what *documents* say about a person. Raises nothing, whatever JSON they are."""
    unused: dict[str, Unused] = {}
    limit = STRANGERS_CLAIMS_LIMIT if provider.is_discovered else CLAIMS_LIMIT
    email, source = _email(documents, provider, unused)
    return Profile(
        email=email,
        email_verified=bool(email) and _is_verified(documents, source, provider, unused),
        name=_name(documents, provider, unused),
        claims=_kept(documents, limit, unused),
        raw=_raw(documents, limit),
        user_fields=_named(provider.people.user_fields, documents, limit, unused, of=(str, int, float)),
        groups=_groups(documents, provider.people, unused),
        kept=_named(provider.people.keep_claims, documents, limit, unused),
        unused=unused,
    )


def choose_address(profile: Profile, addresses: Any, provider: ProviderDescriptor) -> Profile:
    """Return *profile* with the best address of a list: verified before not, primary before not.

    The address of a public profile is never verified, and is used only if the list has none.
    """
    rules, unused = provider.emails, dict(profile.unused)
    if rules is None:
        return profile
    listed = next(find(rules.list, Documents(userinfo=addresses)), None)
    if listed is None or not is_a(listed.value, list):
        if addresses != []:
            unused["emails"] = Unused.TYPE
        return replace(profile, email_verified=False, unused=unused)
    usable = [one for item in listed.value if (one := _entry(rules, item, provider)) is not None]
    if not usable:
        return replace(profile, email_verified=False)
    best = max(usable, key=lambda one: (one.verified, one.primary))
    return replace(
        profile, email=best.address, email_verified=best.verified and provider.states_email_verified
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    address: str
    verified: bool
    primary: bool


def _entry(rules: EmailRules, item: Any, provider: ProviderDescriptor) -> _Entry | None:
    """Return one entry of a list of addresses, or nothing if it has no usable address."""
    entry = Documents(userinfo=item)
    for value in _values(rules.address, entry):
        address = _address(value)
        if not isinstance(address, Unused):
            verified, primary = (
                any(is_one_of(provider.truthy, flag) for flag in _values(rule, entry))
                for rule in (rules.verified, rules.primary)
            )
            return _Entry(address, verified, primary)
    return None


def log_unused(provider: str, profile: Profile) -> None:
    """Write one line about the claims that are not used, if there are any."""
    if not profile.unused:
        return
    named = [
        f"{claim if _PLAIN_NAME.fullmatch(claim) else '(odd name)'} ({why})"
        for claim, why in list(profile.unused.items())[:_NAMED_LIMIT]
    ]
    more = len(profile.unused) - len(named)
    logger.info(
        "claims of %s that are not used: %s",
        provider,
        ", ".join(named) + (f" and {more} more" if more else ""),
    )


# --- One claim each -----------------------------------------------------------------------------------------


def _values(rule: Rule, documents: Documents) -> Iterator[Any]:
    return (found.value for found in find(rule, documents))


def _email(documents: Documents, provider: ProviderDescriptor, unused: dict[str, Unused]) -> tuple[str, str]:
    """Return the address and the document that it is from."""
    for found in find(provider.claims.email, documents):
        address = _address(found.value)
        if not isinstance(address, Unused):
            return address, found.source
        unused["email"] = address
    return "", ""


def _address(value: Any) -> str | Unused:
    """Return an address, also the only one of a list."""
    if is_a(value, list) and len(value) == 1:
        value = value[0]
    if not is_a(value, str):
        return Unused.TYPE
    if len(value) > EMAIL_LIMIT:
        return Unused.TOO_LONG
    if has_bad_characters(value) or not value.isprintable():
        return Unused.CONTROL
    local, _, host = value.partition("@")
    return str(value) if local and host and "@" not in host else Unused.TYPE


def _is_verified(
    documents: Documents, source: str, provider: ProviderDescriptor, unused: dict[str, Unused]
) -> bool:
    """Say whether the document *source* says that its address is verified. Nothing unsigned by the provider can."""
    if not source or source == "answer" or not provider.states_email_verified:
        return False
    for value in _values(provider.claims.email_verified, documents.only(source)):
        if is_one_of(provider.truthy, value):
            return True
        if is_a(value, bool) or value in ("false", "0", 0):
            return False
        unused["email_verified"] = Unused.TYPE
    return False


def _name(documents: Documents, provider: ProviderDescriptor, unused: dict[str, Unused]) -> str:
    for value in _values(provider.claims.name, documents):
        if is_a(value, float) and math.isfinite(value):
            value = str(value)
        # Twice what fits after control characters are gone, so that a text of a megabyte costs nothing.
        text = as_text(value)[: 2 * SHOWN_NAME_LIMIT]
        shown = "".join(
            character for character in text if unicodedata.category(character) not in ("Cc", "Cs")
        )
        if shown := shown.strip()[:SHOWN_NAME_LIMIT].strip():
            return shown
        if value != "":
            unused["name"] = Unused.CONTROL if text else Unused.TYPE
    return ""


def _groups(documents: Documents, people: People, unused: dict[str, Unused]) -> tuple[str, ...] | None:
    """Return the groups of a person; of too many those that are mapped come first."""
    if people.groups is None:
        return None
    found: Any = next(_values(people.groups, documents), None)
    if found is None:
        return None if any(_is_elsewhere(path, documents) for path in paths_of(people.groups)) else ()
    listed = found if is_a(found, list) else [found]
    texts = dict.fromkeys(text for one in listed if (text := as_text(one)) and not has_bad_characters(text))
    if len(texts) < len({str(one) for one in listed}):
        unused["groups"] = Unused.TYPE
    if listed and not texts:
        return None
    mapped = dict(people.group_map)
    short = sorted((text for text in texts if len(text) <= GROUP_LIMIT), key=lambda text: text not in mapped)
    if len(short) < len(texts) or len(short) > GROUPS_LIMIT:
        unused["groups"] = Unused.TOO_LONG
    return tuple(short[:GROUPS_LIMIT])


def _is_elsewhere(path: Path, documents: Documents) -> bool:
    """Say whether the claim is at another server (OpenID Connect Core §5.6.2), as Microsoft's of many groups is."""
    names = [
        document.get("_claim_names")
        for document in (documents.id_token, documents.userinfo)
        if is_a(document, dict)
    ]
    return any(is_a(one, dict) and path.segments[0] in one for one in names)


# --- Claims for the host ------------------------------------------------------------------------------------


def _kept(documents: Documents, limit: int, unused: dict[str, Unused]) -> dict[str, Any]:
    """Return the members of ID token and UserInfo that a host gets; those of the ID token come first."""
    kept: dict[str, Any] = {}
    for document in (documents.id_token, documents.userinfo):
        kept = _with_members(document, kept, limit, unused, but=_CONSUMED)
    return kept


def _named(
    rules: Iterable[tuple[str, Rule]],
    documents: Documents,
    limit: int,
    unused: dict[str, Unused],
    *,
    of: tuple[type, ...] = (object,),
) -> dict[str, Any]:
    """Return the first value of each rule that is one *of* these types, under the name of the rule."""
    found = {
        name: next((value for value in _values(rule, documents) if is_a(value, *of)), None)
        for name, rule in rules
    }
    return _with_members(
        {name: value for name, value in found.items() if value is not None}, {}, limit, unused
    )


def _raw(documents: Documents, limit: int) -> dict[str, dict[str, Any]]:
    """Return what each source said, in all at most *limit* bytes. What is left out is in the log already."""
    raw: dict[str, dict[str, Any]] = {}
    for source in SOURCES:
        found = _with_members(getattr(documents, source), {}, limit - _size(raw), {})
        if found:
            raw[source] = found
    return raw


def _with_members(
    document: Any,
    kept: dict[str, Any],
    limit: int,
    unused: dict[str, Unused],
    *,
    but: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return *kept* with those members of *document* that fit and that it does not have. Tokens are taken out."""
    kept = dict(kept)
    left = limit - _size(kept)
    for name, value in document.items() if is_a(document, dict) else ():
        if name in kept or name in but or name in TOKENS:
            continue
        why = Unused.CONTROL if has_bad_characters(name) else _flaw(value)
        if why is None:
            found = without_names(TOKENS, value)
            size = _size({name: found})
            if size <= left:
                left -= size
                kept[name] = found
                continue
            why = Unused.TOO_LONG
        unused.setdefault(name, why)
    return kept


def _size(value: Any) -> int:
    return len(json.dumps(value)) if value else 0


def _flaw(value: Any) -> Unused | None:
    """Return what keeps *value* out of a database or an encoder: NUL, lone surrogates, infinity, deep nesting."""
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT + 1):
        following: list[Any] = []
        for node in level:
            if is_a(node, dict):
                following += [*node, *node.values()]
            elif is_a(node, list):
                following += node
            elif is_a(node, str):
                if has_bad_characters(node):
                    return Unused.CONTROL
            elif (is_a(node, float) and not math.isfinite(node)) or (
                is_a(node, int) and abs(node) >= _INTEGER_BOUND
            ):
                return Unused.TYPE
        if not following:
            return None
        level = following
    return Unused.DEEP
