"""The list of mutations stands on the code and the tests as they are. ``make mutants`` tries them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from tests.mutants import MUTATIONS
from tests.mutants.mutation import DoesNotApply

ROOT = Path(__file__).resolve().parents[2]
INVARIANTS = sorted(set(re.findall(r"^\| (I\d+) \|", (ROOT / "docs/invariants.md").read_text(), re.M)))


def test_the_old_text_of_each_mutation_stands_exactly_once():
    """Who rewrote such a line, or moved it, changes the list too: to the line that stands in its place."""
    lost = []
    for mutation in MUTATIONS:
        try:
            mutation.applied_to(ROOT)
        except DoesNotApply as error:
            lost.append(f"{mutation.name}: {error}")
    assert not lost, "\n".join(lost)


def test_the_tests_of_each_mutation_exist():
    named = {test for mutation in MUTATIONS for test in mutation.tests}
    assert sorted(test for test in named if not _exists(test)) == []


def _exists(test: str) -> bool:
    """Say whether pytest finds this function, also in its class."""
    file, *names = test.partition("[")[0].split("::")
    found: ast.AST | None = _parsed(file)
    for name in names:
        children = ast.iter_child_nodes(found) if found is not None else ()
        found = next((child for child in children if getattr(child, "name", "") == name), None)
    return isinstance(found, ast.FunctionDef)


@cache
def _parsed(file: str) -> ast.Module | None:
    path = ROOT / "tests" / file
    return ast.parse(path.read_text()) if path.is_file() else None


def test_a_mutated_file_is_a_program(tmp_path):
    """A name that is not defined would fail every test, and show nothing."""
    for mutation in MUTATIONS:
        if mutation.file.endswith(".py"):
            with suppress(DoesNotApply):
                (tmp_path / f"{mutation.name.replace('-', '_')}.py").write_text(mutation.applied_to(ROOT))
    checked = subprocess.run(
        [
            Path(sys.executable).parent / "ruff",
            "check",
            "--isolated",
            "--quiet",
            "--select=E9,F821",
            tmp_path,
        ],
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_each_mutation_has_a_name_of_its_own_and_a_test():
    names = [mutation.name for mutation in MUTATIONS]
    assert len(set(names)) == len(names)
    assert all(mutation.tests for mutation in MUTATIONS)


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_every_invariant_has_a_mutation(invariant: str):
    assert any(mutation.invariant == invariant for mutation in MUTATIONS)
