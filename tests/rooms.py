"""The rules of the rooms that can be counted. Run ``python -m tests.rooms`` to print what breaks them.

Not here: which room may import which (import-linter, in ``pyproject.toml``).
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "django_lazyauth"

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_MODULES_OF_A_ROOM = 15
MAX_MEAN_IMPORTS = 7.5
#: The sum of the product's lines, without ``legacy/`` and ``migrations/``.
MAX_LINES = 19_000

#: Generated code and code that stays as it was written: no rule of size applies.
WITHOUT_SIZE = {"migrations"}
#: One module a table.
ROOMS_OF_ANY_SIZE = {"models", "migrations"}
IMPORTERS_OF_LEGACY = {"apps", "legacy", "management", "migrations"}


@dataclass(frozen=True, slots=True)
class Module:
    """One source file of the package."""

    name: str
    path: Path
    source: str

    @property
    def room(self) -> str:
        """The first name below the package: ``clients`` of ``django_lazyauth.clients.store``."""
        return self.name.split(".")[1] if "." in self.name else ""

    @property
    def lines(self) -> int:
        return len(self.source.splitlines())

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)


@cache
def modules() -> tuple[Module, ...]:
    return tuple(_module(path) for path in sorted((ROOT / PACKAGE).rglob("*.py")))


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, path.read_text())


@cache
def imports_of(module: Module) -> frozenset[str]:
    """Return the modules that *module* imports, anywhere in it, by their full names.

    ``from a import b`` names ``a.b`` where that is a module of ours, and ``a`` elsewhere.
    """
    return frozenset(_imports(module))


def _imports(module: Module) -> Iterator[str]:
    ours = {other.name for other in modules()}
    package = module.name.split(".")
    if module.path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in ours else base


@dataclass(frozen=True, slots=True)
class MeanImports:
    """How many modules a module of ours imports, on average. Empty modules and ``__future__`` do not count."""

    ours: float
    others: float
    standard_library: float

    @property
    def all(self) -> float:
        return self.ours + self.others + self.standard_library


def mean_imports() -> MeanImports:
    counted = [module for module in modules() if module.room != "migrations" and module.source.strip()]
    kinds = Counter(_kind(name) for module in counted for name in imports_of(module) - {module.name})
    return MeanImports(*(kinds[kind] / len(counted) for kind in ("ours", "others", "standard library")))


def _kind(name: str) -> str:
    top = name.split(".")[0]
    if top == "__future__":
        return "no module"
    if top == PACKAGE:
        return "ours"
    return "standard library" if top in sys.stdlib_module_names else "others"


def product_lines() -> int:
    """Return the lines of the product, without ``legacy/`` and ``migrations/``."""
    return sum(module.lines for module in modules() if module.room not in ("legacy", "migrations"))


# -- the rules: each returns what breaks it ---------------------------------------------------------------


def long_modules() -> list[str]:
    return [
        f"{module.name}: {module.lines} lines"
        for module in modules()
        if module.room not in WITHOUT_SIZE and module.lines > MAX_MODULE_LINES
    ]


def long_functions() -> list[str]:
    """Return functions that are too long. Decorators and docstring count as lines of the function."""
    return [
        f"{module.name}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for module in modules()
        if module.room not in WITHOUT_SIZE
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]


def full_rooms() -> list[str]:
    """Return folders with too many modules. A folder inside a room is a room by itself. ``__init__`` does not count."""
    sizes = Counter(
        str(module.path.parent.relative_to(ROOT / PACKAGE))
        for module in modules()
        if module.path.name != "__init__.py"
    )
    return [
        f"{folder}: {size} modules"
        for folder, size in sizes.items()
        if folder not in ROOMS_OF_ANY_SIZE and size > MAX_MODULES_OF_A_ROOM
    ]


def imports_of_oauthlib() -> list[str]:
    return [
        module.name
        for module in modules()
        if module.room != "toolkit" and any(name.split(".")[0] == "oauthlib" for name in imports_of(module))
    ]


def imports_of_legacy() -> list[str]:
    return [
        module.name
        for module in modules()
        if module.room not in IMPORTERS_OF_LEGACY
        and any(name.startswith(f"{PACKAGE}.legacy") for name in imports_of(module))
    ]


def too_many_imports() -> list[str]:
    mean = mean_imports()
    found = mean.ours + mean.others
    return [f"{found:.2f} imports per module"] if found > MAX_MEAN_IMPORTS else []


def too_many_lines() -> list[str]:
    lines = product_lines()
    return [f"{lines} lines"] if lines > MAX_LINES else []


RULES = {
    f"a module has at most {MAX_MODULE_LINES} lines": long_modules,
    f"a function has at most {MAX_FUNCTION_LINES} lines": long_functions,
    f"a room has at most {MAX_MODULES_OF_A_ROOM} modules": full_rooms,
    "only toolkit/ imports oauthlib": imports_of_oauthlib,
    "nothing imports legacy/": imports_of_legacy,
    f"a module imports at most {MAX_MEAN_IMPORTS} others on average, without the standard library": too_many_imports,
    f"the product has at most {MAX_LINES} lines": too_many_lines,
}


#: The rules that hold. A rule that came to hold is moved here and never leaves.
HELD = [
    long_modules,
    long_functions,
    full_rooms,
    imports_of_oauthlib,
    imports_of_legacy,
    too_many_imports,
]


def main() -> int:
    broken = {rule: found for rule, find in RULES.items() if (found := find())}
    imports = mean_imports()
    lines = [
        line for rule, found in broken.items() for line in (f"BROKEN: {rule}", *(f"  {one}" for one in found))
    ]
    lines += [
        f"{imports.ours:.2f} imports of our own modules per module, {imports.others:.2f} of other packages,"
        f" {imports.standard_library:.2f} of the standard library, {imports.all:.2f} in all",
        f"{product_lines()} lines without legacy/ and migrations/",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
