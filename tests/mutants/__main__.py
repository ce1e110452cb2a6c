"""``python -m tests.mutants [TEXT …]``: break one line after the other, and see that its tests fail.

Nothing is changed in the checkout. Each mutation is written into one copy of the tree, tried in a process of its own,
and taken back. First all named tests run unbroken, because a test that fails anyway kills nothing.

``TEXT`` chooses mutations by a part of their name or file, or by their invariant. The exit status is 1 if a mutation
survived, or no longer applies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants import MUTATIONS, Mutation
from tests.mutants.mutation import DoesNotApply

ROOT = Path(__file__).resolve().parents[2]
#: What the tests read of the checkout.
COPIED = ("django_lazyauth", "tests", "example_project", "docs", "manage.py", "pyproject.toml")
#: Seconds. A mutation that runs into it did not fail a test.
PATIENCE = 300
#: Loading every plugin that is installed would take as long as a test.
PLUGINS = ("pytest_django.plugin", "pytest_timeout")

KILLED, SURVIVED, GONE, BROKEN, UNTRIED = "killed", "SURVIVED", "does not apply", "NO RESULT", "not tried"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest."""

    status: int
    output: str

    @property
    def passed(self) -> bool:
        return self.status == 0

    @property
    def failed(self) -> bool:
        """Whether a test failed, rather than the collection of the tests or what a fixture prepares."""
        return self.status == 1 and "\nFAILED " in self.output

    @property
    def skipped(self) -> bool:
        return "skipped" in self.output.strip().rpartition("\n")[2]


class Copy:
    """A copy of the tree, in which one file at a time is mutated."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "tree"
        self.root.mkdir()
        self.pristine = directory / "pristine.sqlite3"
        self.database = directory / "mutant.sqlite3"
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.root / name)
            else:
                shutil.copy2(source, self.root / name)

    def run_unbroken(self, tests: Iterable[str], database: str) -> Run:
        """Run *tests*; on SQLite the tables that this makes are kept for the mutations."""
        return self._pytest(tests, database, ("--create-db", "--reuse-db"), self.pristine)

    def run(self, mutation: Mutation) -> Run:
        """Run the tests of *mutation* while it is applied."""
        options: tuple[str, ...] = ("--create-db",)
        # There are no tables where no test of this run has touched the database.
        if mutation.database == "sqlite" and not mutation.changes_tables and self.pristine.exists():
            shutil.copy2(self.pristine, self.database)
            options = ("--reuse-db",)
        with self._mutated(mutation):
            return self._pytest(mutation.test_ids, mutation.database, ("-x", *options), self.database)

    @contextmanager
    def _mutated(self, mutation: Mutation) -> Iterator[None]:
        file = self.root / mutation.path
        mutated, original, times = mutation.applied_to(self.root), file.read_bytes(), file.stat()
        file.write_text(mutated)
        try:
            yield
        finally:
            file.write_bytes(original)
            # So that its compiled file is good again.
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _pytest(self, tests: Iterable[str], database: str, options: Sequence[str], file: Path) -> Run:
        plugins = [word for plugin in PLUGINS for word in ("-p", plugin)]
        command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "--tb=no", "-p", "no:cacheprovider"]
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LAZYAUTH_TEST_DATABASE": database,
            "LAZYAUTH_TEST_SQLITE": str(file),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(self.root),
        }
        if file == self.database:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        try:
            done = subprocess.run(
                [*command, *plugins, *options, *tests],
                cwd=self.root,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE if file == self.database else None,
            )
        except subprocess.TimeoutExpired:
            return Run(-1, f"no result after {PATIENCE} s")
        return Run(done.returncode, done.stdout)


def main(texts: Sequence[str]) -> int:
    chosen = [one for one in MUTATIONS if not texts or any(_is_named(one, text) for text in texts)]
    started, counts = time.monotonic(), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="lazyauth-mutants-") as directory:
        copy = Copy(Path(directory))
        for database in ("sqlite", "postgresql"):
            counts += _try_all(copy, [one for one in chosen if one.database == database], database)
    seconds = time.monotonic() - started
    print(", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing", f"in {seconds:.0f} s")
    is_required = os.environ.get("LAZYAUTH_REQUIRE_SERVICES") == "1"
    bad = counts[SURVIVED] + counts[GONE] + counts[BROKEN] + (counts[UNTRIED] if is_required else 0)
    return int(bool(bad or not counts))


def _is_named(mutation: Mutation, text: str) -> bool:
    return text in mutation.name or text in mutation.file or text == mutation.invariant


def _try_all(copy: Copy, mutations: list[Mutation], database: str) -> Counter[str]:
    if not mutations:
        return Counter()
    tests = list(dict.fromkeys(test for one in mutations for test in one.test_ids))
    unbroken = copy.run_unbroken(tests, database)
    if unbroken.passed and database == "postgresql" and unbroken.skipped:
        for mutation in mutations:
            _print(UNTRIED, mutation, "needs PostgreSQL")
        return Counter({UNTRIED: len(mutations)})
    if not unbroken.passed:
        print(unbroken.output)
        print("The tests fail although nothing is broken.")
        return Counter({BROKEN: len(mutations)})
    return Counter(_try(copy, mutation) for mutation in mutations)


def _try(copy: Copy, mutation: Mutation) -> str:
    started = time.monotonic()
    try:
        run = copy.run(mutation)
    except DoesNotApply as error:
        _print(GONE, mutation, str(error))
        return GONE
    seconds = f"{time.monotonic() - started:.1f} s"
    if run.failed:
        _print(KILLED, mutation, seconds)
        return KILLED
    if run.passed:
        _print(SURVIVED, mutation, f"{seconds}. Lost: {mutation.loses}")
        return SURVIVED
    _print(BROKEN, mutation, f"pytest ended with {run.status}\n{run.output[-1500:]}")
    return BROKEN


def _print(what: str, mutation: Mutation, words: str) -> None:
    print(f"{what:<9} {mutation.invariant:<3} {mutation.name} ({words})", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
