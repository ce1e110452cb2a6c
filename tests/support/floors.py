"""The lowest versions that ``pyproject.toml`` declares to users. ``make pins`` reads them from here, as pins."""

from __future__ import annotations

import sys
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def floors() -> list[Requirement]:
    """Return what the package and its extras need, each at its floor: ``pyjwt[crypto]==2.10``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = chain(project["dependencies"], *project["optional-dependencies"].values())
    return [_at_its_floor(Requirement(one)) for one in declared]


def _at_its_floor(requirement: Requirement) -> Requirement:
    [floor] = [one.version for one in requirement.specifier if one.operator == ">="]
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    return Requirement(f"{requirement.name}{extras}=={floor}")


if __name__ == "__main__":
    sys.stdout.writelines(f"{one}\n" for one in floors())
