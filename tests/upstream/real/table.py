"""A pytest plugin: writes which provider did what into ``docs/compatibility.md``, once each did all that it can.

It writes nothing where a scenario failed, or was left out of the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from .software import SCENARIOS, SOFTWARE

PAGE = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
_BLOCK = re.compile(r"(<!-- table: UPSTREAMS -->\n).*?(<!-- end -->)", re.DOTALL)

#: (provider, name of the test) of each cell.
EXPECTED = {(one.name, test) for one in SOFTWARE for test in SCENARIOS if test not in one.cannot}
_done = pytest.StashKey[set[tuple[str, str]]]()


def render(page: str) -> str:
    """Return *page* with the table of a run in which nothing failed."""
    return _BLOCK.sub(lambda found: found[1] + "\n".join(_lines()) + "\n" + found[2], page)


def _lines() -> Iterator[str]:
    reasons: list[str] = []
    yield "| | version | " + " | ".join(SCENARIOS.values()) + " | further keys of the entry |"
    yield "|---|---|" + "---|" * len(SCENARIOS) + "---|"
    for one in SOFTWARE:
        cells = []
        for test in SCENARIOS:
            reason = one.cannot.get(test)
            if reason and reason not in reasons:
                reasons.append(reason)
            cells.append(f"no, {reasons.index(reason) + 1}" if reason else "yes")
        cells.append(f"`{json.dumps(dict(one.config))}`" if one.config else "none")
        yield f"| {one.name} | {one.version} | " + " | ".join(cells) + " |"
    if reasons:
        yield ""
    for number, reason in enumerate(reasons, start=1):
        yield f"{number}. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.passed and "running" in getattr(item, "fixturenames", ()):
        done = item.config.stash.setdefault(_done, set())
        done.add((item.callspec.params["running"].name, item.originalname))
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and session.config.stash.get(_done, set()) >= EXPECTED:
        PAGE.write_text(render(PAGE.read_text()))
