"""A site starts with this app in little more time than without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .harness import Claim, Side
from .setup_cost import OUR_APPS, PEER_APPS, Starter, starter

_starters: list[Starter] = []


@contextmanager
def _around() -> Iterator[None]:
    with starter() as start:
        _starters[:] = [start]
        yield


def _side(apps: tuple[str, ...]) -> Side:
    def prepare(count: int) -> Sequence[tuple[str, ...]]:
        return [apps] * count

    return Side(prepare, lambda wanted: _starters[0].seconds(wanted) and None)


def sides() -> tuple[Side, Side]:
    return _side(OUR_APPS), _side(PEER_APPS)


CLAIM = Claim(
    "process that only sets Django up, beside the same without this app",
    bound=1.3,
    sides=sides,
    rounds=4,
    samples=10,
    vendors=frozenset({"sqlite"}),
    around=_around,
    counts_queries=False,
)
