"""What an operator is told of a provider: findings, each with a level, and a report of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

#: ``ok`` it works · ``note`` to know · ``fix`` it does not work until somebody changes something · ``unasked`` the
#: provider did not answer, so it is not known.
Level = Literal["ok", "note", "fix", "unasked"]

_URGENCY: Final = ("fix", "unasked", "note", "ok")
_EXITS: Final = {"ok": 0, "fix": 1, "unasked": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact.

    Attributes:
        about: A stable word, such as ``redirect_uri`` or ``token_endpoint``.
        text: In English, as the texts of system checks are.
    """

    level: Level
    about: str
    text: str


ok = partial(Finding, "ok")
note = partial(Finding, "note")
fix = partial(Finding, "fix")
unasked = partial(Finding, "unasked")


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one provider."""

    provider: str
    findings: tuple[Finding, ...]

    @property
    def state(self) -> Literal["ok", "fix", "unasked"]:
        """The worst of the findings. What has to be fixed is known, so it counts before what is not known."""
        levels = {finding.level for finding in self.findings}
        return "fix" if "fix" in levels else "unasked" if "unasked" in levels else "ok"

    @property
    def most_urgent_first(self) -> list[Finding]:
        return sorted(self.findings, key=lambda finding: _URGENCY.index(finding.level))

    def as_json(self) -> dict[str, Any]:
        findings = [
            {"level": finding.level, "about": finding.about, "text": finding.text}
            for finding in self.findings
        ]
        return {"provider": self.provider, "state": self.state, "findings": findings}


def exit_status(reports: Iterable[Report]) -> int:
    """Return 0 if all is well, 1 if something has to be fixed, 2 if a provider could not be asked."""
    states = {report.state for report in reports}
    return next((_EXITS[state] for state in ("fix", "unasked") if state in states), 0)
