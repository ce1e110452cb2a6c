"""What a provider's word lets a client have without a page: the policy for ID-JAGs of one provider.

An ID-JAG says that an organisation lets a client act for one of its people at this server
(draft-ietf-oauth-identity-assertion-authz-grant).

Not here: whether one is valid (:mod:`.verify_id_jag`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from django_lazyauth.openid.provider_kinds import Kind, Wrong, is_a, text, wanted

#: Names in one list of the policy.
NAMES_LIMIT: Final = 256
#: Seconds. Providers issue them for 5 to 60 min.
LONGEST: Final = 3600


@dataclass(frozen=True, slots=True)
class IdJagPolicy:
    """Whom and what a provider may speak for.

    Attributes:
        clients: Ids of the clients that may come with its word. A URL is that of a metadata document.
        scopes: What a token may have at most.
        resources: What it may be for at most.
        public_clients: Whether a client may be one that proves nothing.
        max_lifetime: Seconds from ``iat`` to ``exp``.
        reusable: Whether one ID-JAG is good for several tokens.
        require_resource: Whether one has to name its resource.
        new_people: Whether somebody who was never here is written.
    """

    clients: tuple[str, ...]
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    public_clients: bool = False
    max_lifetime: int = LONGEST
    reusable: bool = False
    require_resource: bool = True
    new_people: bool = True


_NAMES: Final = tuple(field.name for field in fields(IdJagPolicy))
_FLAGS: Final = ("public_clients", "reusable", "require_resource", "new_people")
_LISTS: Final = ("clients", "scopes", "resources")


def read_policy(value: Any) -> IdJagPolicy:
    """Return the policy that a dict of the settings says.

    Raises:
        Wrong: A name is unknown or missing, or its value is of another kind.
    """
    wanted(is_a(value, Mapping))
    for name in value:
        if name not in _NAMES:
            raise Wrong(f"has a name that is none of {', '.join(_NAMES)}")
    for name in _LISTS:
        if name not in value:
            raise Wrong(f'lacks "{name}"')
    found = {name: _names(value[name]) for name in _LISTS}
    flags = {name: value[name] for name in _FLAGS if name in value}
    wanted(all(flag is True or flag is False for flag in flags.values()))
    longest = value.get("max_lifetime", LONGEST)
    wanted(is_a(longest, int) and longest is not True and 0 < longest <= LONGEST)
    return IdJagPolicy(
        found["clients"], found["scopes"], found["resources"], max_lifetime=int(longest), **flags
    )


def _names(value: Any) -> tuple[str, ...]:
    wanted(is_a(value, list, tuple) and len(value) <= NAMES_LIMIT)
    found = tuple(dict.fromkeys(text().read(one) for one in value))
    wanted(all(found))
    return found


ID_JAG: Final = Kind("a dict of clients, scopes and resources", read_policy)
