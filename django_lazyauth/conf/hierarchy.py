"""Scopes that contain others: ``{"files:write": ["files:read"]}``.

A token with ``files:write`` passes where ``files:read`` is needed. What is granted, shown and written stays as the
person allowed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from . import kinds
from .setting import Kind, Refused

#: Scope → the scopes that it contains.
Hierarchy = Mapping[str, tuple[str, ...]]


def scope(value: Any) -> str:
    """Return one scope (RFC 6749 §3.3)."""
    return kinds.text(value, pattern=r"[\x21\x23-\x5b\x5d-\x7e]+")


_PAIRS = kinds.pairs(
    "a dict of scopes to lists of the scopes that each contains", kinds.items("", scope).read, key=scope
)


def _read(value: Any) -> Hierarchy:
    found = _PAIRS.read(value)
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        raise Refused("has a cycle", hint=f"It is {' → '.join(reversed(error.args[1]))}.") from None
    return found


HIERARCHY: Kind[Hierarchy] = Kind(_PAIRS.words, _read)


def with_contained(scopes: Iterable[str], hierarchy: Hierarchy) -> frozenset[str]:
    """Return *scopes* and all that they contain, at any depth."""
    found = set(scopes)
    if hierarchy:
        left = list(found)
        while left:
            new = set(hierarchy.get(left.pop(), ())) - found
            found |= new
            left += new
    return frozenset(found)
