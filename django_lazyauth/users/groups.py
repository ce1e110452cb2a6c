"""Which Django groups a user is in because a provider says so (keys ``groups``, ``group_map`` and ``groups_mode``).

Always in the transaction of a sign-in. No group is created.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist

from django_lazyauth.openid.people.keys import People
from django_lazyauth.providers.base import Identity, SyncTerms

logger = logging.getLogger("django_lazyauth.upstream")


@dataclass(frozen=True, slots=True)
class Change:
    """The keys of the groups that a user gets and leaves."""

    joined: frozenset[Any] = frozenset()
    left: frozenset[Any] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.joined or self.left)


def complaints(people: People) -> Iterator[str]:
    """Yield what is wrong with ``group_map`` for this site."""
    if people.group_map and people.groups is None:
        yield '"group_map" needs "groups"'
    elif people.group_map and _model() is None:
        yield '"group_map" needs a user model with groups'


def change_of(user: Any, identity: Identity, terms: SyncTerms, *, is_locked: bool = False) -> Change:
    """Return what becomes of the groups of *user*. Two queries; none without a map, or where nothing is known.

    Args:
        is_locked: The user is, and was read again: what others wrote meanwhile counts, whatever the isolation level.
    """
    model = _model()
    if not terms.group_map or identity.groups is None or model is None:
        return Change()
    names = dict(terms.group_map)
    rows = dict(model._default_manager.filter(name__in=set(names.values())).values_list("name", "pk"))
    if missing := set(names.values()) - set(rows):
        logger.warning(
            '"group_map" of %s names groups that do not exist: %s', identity.provider, sorted(missing)
        )
    wanted = {rows[names[one]] for one in identity.groups if names.get(one) in rows}
    held = _held(user, rows.values(), is_locked=is_locked)
    left = held - wanted if terms.groups_mode == "mirror" else set()
    return Change(frozenset(wanted - held), frozenset(left))


def follow(user: Any, identity: Identity, terms: SyncTerms) -> None:
    """Let *user* be in the groups that *identity* says. Groups that the map does not name stay as they are."""
    change = change_of(user, identity, terms, is_locked=True)
    if change.joined:
        user.groups.add(*change.joined)
    if change.left:
        user.groups.remove(*change.left)


def _held(user: Any, keys: Iterable[Any], *, is_locked: bool) -> set[Any]:
    """Return those of the groups with these *keys* that *user* is in."""
    field = user._meta.get_field("groups")
    group = f"{field.m2m_reverse_field_name()}_id"
    memberships = field.remote_field.through._base_manager.filter(
        **{f"{field.m2m_field_name()}_id": user.pk, f"{group}__in": list(keys)}
    )
    # Without the lock a transaction of MariaDB would see the memberships of when it began.
    return set((memberships.select_for_update() if is_locked else memberships).values_list(group, flat=True))


def _model() -> Any:
    """Return the model of groups; ``None`` where the user model has none."""
    try:
        return get_user_model()._meta.get_field("groups").related_model
    except FieldDoesNotExist:
        return None
