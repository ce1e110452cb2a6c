"""A pytest plugin: writes the matrix of clients into ``docs/compatibility.md``, once each cell was done that can be.

It writes nothing where a cell failed, or was left out of the run.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from itertools import product
from pathlib import Path

import pytest

from .cells import CLIENTS, KINDS, METHODS, ROWS, name_of, ways_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
_BLOCK = re.compile(r"(<!-- table: CLIENTS -->\n).*?(<!-- end -->)", re.DOTALL)

_done = pytest.StashKey[set[str]]()


def render(page: str) -> str:
    """Return *page* with the matrix of a run in which nothing failed."""
    return _BLOCK.sub(lambda found: found[1] + "\n".join(_lines()) + "\n" + found[2], page)


def _lines() -> Iterator[str]:
    reasons: list[str] = []
    columns = [(method, way) for method in METHODS for way in ways_of(method)]
    yield "| | version | known by | " + " | ".join(f"{method}, {way}" for method, way in columns) + " |"
    yield "|---|---|---|" + "---|" * len(columns)
    for client, kind in product(CLIENTS, KINDS):
        cells = []
        for method, way in columns:
            reason = client.reason(kind, method, way)
            if reason and reason not in reasons:
                reasons.append(reason)
            cells.append(f"no, {reasons.index(reason) + 1}" if reason else "yes")
        yield f"| {client.name} | {client.version} | {kind} | " + " | ".join(cells) + " |"
    yield ""
    for number, reason in enumerate(reasons, start=1):
        yield f"{number}. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.passed and "row" in getattr(item, "fixturenames", ()):
        item.config.stash.setdefault(_done, set()).add(name_of(item.callspec.params["row"]))
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and session.config.stash.get(_done, set()) >= set(map(name_of, ROWS)):
        PAGE.write_text(render(PAGE.read_text()))
