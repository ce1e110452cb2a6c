"""One line that is broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "django_lazyauth"


class DoesNotApply(LookupError):
    """The file does not hold the old text exactly once."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One place in the product, and what is lost if it reads otherwise.

    Attributes:
        name: Unique, for the report and the command line.
        file: Below ``django_lazyauth/``.
        old: Stands in the file exactly once.
        new: Takes its place. The file is still a program then.
        tests: Node ids below ``tests/``. At least one of these tests fails.
        loses: The promise that the mutation breaks, as a sentence about behaviour.
        invariant: As in ``docs/invariants.md``; empty where no invariant names it.
        database: Which one the tests need.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    loses: str
    invariant: str = ""
    database: str = "sqlite"

    @property
    def path(self) -> str:
        """Below the root of the project."""
        return f"{PACKAGE}/{self.file}"

    @property
    def test_ids(self) -> list[str]:
        return [f"tests/{test}" for test in self.tests]

    @property
    def changes_tables(self) -> bool:
        """Whether the tests need tables that the mutated migrations made."""
        return self.file.startswith("migrations/")

    def applied_to(self, root: Path) -> str:
        """Return the mutated source.

        Raises:
            DoesNotApply: The file was rewritten, or is gone.
        """
        file = root / self.path
        source = file.read_text() if file.is_file() else ""
        if source.count(self.old) != 1:
            raise DoesNotApply(f"{self.path} holds the old text {source.count(self.old)} times")
        return source.replace(self.old, self.new)
