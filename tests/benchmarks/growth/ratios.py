"""How long each operation takes at a large site, and what it reads, beside the same at a small one."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from tests.support.explained import explained

from .operations import Operation, operations
from .sites import Site

WARM_UP_RUNS = 3
#: The buffers of an operation are those of the median of so many runs.
EXPLAINED_RUNS = 5


@dataclass(frozen=True)
class Growth:
    """One operation, at each site in the order of the sites.

    Attributes:
        seconds: Medians.
        buffers: Pages that all statements of one run read.
        largest: Pages that the statement read which read the most.
    """

    name: str
    bar: float
    seconds: tuple[float, ...]
    buffers: tuple[int, ...]
    largest: tuple[int, ...]

    @property
    def ratios(self) -> list[float]:
        return [seconds / self.seconds[0] for seconds in self.seconds]

    @property
    def holds(self) -> bool:
        return max(self.ratios) <= self.bar


def growths(sites: Sequence[Site], *, samples: int, wanted: Sequence[str]) -> list[Growth]:
    """Measure the operations whose name begins with one of *wanted*, or all."""
    return [
        _growth(operation, sites, samples)
        for operation in operations()
        if not wanted or operation.name.startswith(tuple(wanted))
    ]


def _growth(operation: Operation, sites: Sequence[Site], samples: int) -> Growth:
    """Run *operation* at the sites in turns: whatever slows the machine down slows it at each of them."""
    times: list[list[float]] = [[] for _ in sites]
    for sample in range(WARM_UP_RUNS + samples):
        for turn in range(len(sites)):
            number = (sample + turn) % len(sites)
            taken = _time(operation, sites[number])
            if sample >= WARM_UP_RUNS:
                times[number].append(taken)
    reads = [_reads(operation, site) for site in sites]
    return Growth(
        operation.name,
        operation.bar,
        tuple(map(median, times)),
        tuple(total for total, _ in reads),
        tuple(largest for _, largest in reads),
    )


def _time(operation: Operation, site: Site) -> float:
    with site.open():
        prepared = operation.prepare(site.filled)
        gc.collect(0)
        gc.disable()
        try:
            start = perf_counter()
            operation.run(prepared)
            return perf_counter() - start
        finally:
            gc.enable()


def _reads(operation: Operation, site: Site) -> tuple[int, int]:
    runs = [_reads_of_one(operation, site) for _ in range(EXPLAINED_RUNS)]
    return int(median(total for total, _ in runs)), int(median(largest for _, largest in runs))


def _reads_of_one(operation: Operation, site: Site) -> tuple[int, int]:
    with site.open():
        prepared: Any = operation.prepare(site.filled)
        with explained() as reads:
            operation.run(prepared)
    buffers = [read.buffers for read in reads]
    return sum(buffers), max(buffers, default=0)
