"""Measure two ways to do the same work, one against the other, on a machine that does other things too.

Both sides run in one process on one database. They take turns, sample by sample, so that whatever slows the
machine down slows both; medians forget the samples that it hit. Making inputs is never timed, and the garbage
collector rests during a sample.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from django.db import connection

from .cost import Cost, counting


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    Attributes:
        prepare: Returns that many inputs, each good for one run. Not timed.
        run: Does the work once. Timed; raises if the work was not done.
        check: Looks at what all the runs left behind; raises if it is not what it should be.
    """

    prepare: Callable[[int], Sequence[Any]]
    run: Callable[[Any], None]
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Claim:
    """A sentence about cost that a run can refute.

    Attributes:
        text: What is measured.
        bound: Ours takes at most this share of the peer's time.
        on_postgresql: The same on PostgreSQL, where it is another share than elsewhere.
        sides: Returns ours and the peer on a fresh, migrated, empty database.
        rounds: How often inputs are made anew.
        samples: Runs of each side in a round.
        vendors: Databases that it is about; the others do not measure it.
        around: Makes a context in which everything else runs: a server, for example.
        counts_queries: ``False`` where the work is done by another process.
    """

    text: str
    bound: float
    sides: Callable[[], tuple[Side, Side]]
    rounds: int = 15
    samples: int = 30
    vendors: frozenset[str] = frozenset({"sqlite", "postgresql"})
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    counts_queries: bool = True
    on_postgresql: float | None = None

    def bound_on(self, vendor: str) -> float:
        """Return the bound on a database of *vendor*."""
        return self.on_postgresql if vendor == "postgresql" and self.on_postgresql is not None else self.bound


@dataclass(frozen=True)
class Measurement:
    """Medians in seconds, and what one run of each side asks of the database."""

    ours: float
    peer: float
    ours_cost: Cost | None
    peer_cost: Cost | None

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def measure(claim: Claim) -> Measurement:
    """Run both sides of *claim* in turns and return their medians."""
    with claim.around():
        ours, peer = claim.sides()
        _warm_up(ours)
        _warm_up(peer)
        costs = (_cost_of(ours), _cost_of(peer)) if claim.counts_queries else (None, None)
        times: tuple[list[float], list[float]] = [], []
        for _ in range(claim.rounds):
            _round(ours, peer, claim.samples, times)
        ours.check()
        peer.check()
    return Measurement(median(times[0]), median(times[1]), *costs)


WARM_UP_RUNS = 5


def _warm_up(side: Side) -> None:
    for prepared in side.prepare(WARM_UP_RUNS):
        side.run(prepared)


def _cost_of(side: Side) -> Cost:
    (prepared,) = side.prepare(1)
    with counting(connection) as cost:
        side.run(prepared)
    return cost


def _round(ours: Side, peer: Side, samples: int, times: tuple[list[float], list[float]]) -> None:
    inputs = zip(ours.prepare(samples), peer.prepare(samples), strict=True)
    for number, (for_ours, for_peer) in enumerate(inputs):
        turns = [(ours.run, for_ours, times[0]), (peer.run, for_peer, times[1])]
        # Who goes first alternates too: the second of a pair finds other caches than the first.
        for run, prepared, taken in turns if number % 2 else reversed(turns):
            taken.append(_time(run, prepared))


def _time(run: Callable[[Any], None], prepared: Any) -> float:
    gc.collect(0)
    gc.disable()
    try:
        start = perf_counter()
        run(prepared)
        return perf_counter() - start
    finally:
        gc.enable()
