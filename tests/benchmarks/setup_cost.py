"""What ``django.setup()`` costs with this app, beside django-oauth-toolkit and Django REST framework alone.

    python -m tests.benchmarks.setup_cost [--samples 40]

prints the ratio, and what costs most of what the app adds. Each sample is a process of its own; the sides take turns.
Modules are compiled beforehand, as on a site.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parents[2]

#: What a site with accounts and an API has anyway.
PEER_APPS = (
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "oauth2_provider",
)
OUR_APPS = (*PEER_APPS, "django_lazyauth")

#: Prints the seconds of the set-up alone: the start of the interpreter is the same on both sides.
CHILD = """
import sys
from time import perf_counter
from django.conf import settings
settings.configure(
    INSTALLED_APPS=sys.argv[1:],
    SECRET_KEY="only-measured-and-never-used-" * 2,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
started = perf_counter()
import django
django.setup()
print(perf_counter() - started)
"""


@dataclass(frozen=True)
class Starter:
    """Starts processes whose modules are compiled once, into a folder of their own."""

    compiled: str

    def seconds(self, apps: tuple[str, ...]) -> float:
        """Set up *apps* in a new process and return the seconds that it took."""
        return float(self._run(apps).stdout)

    def imports(self, apps: tuple[str, ...]) -> dict[str, int]:
        """Return the microseconds that each module took to import, without those that it imports."""
        found: dict[str, int] = {}
        for line in self._run(apps, "-X", "importtime").stderr.splitlines():
            cost, _, name = line.removeprefix("import time:").rpartition("|")
            if cost.split("|")[0].strip().isdigit():
                found[name.strip()] = int(cost.split("|")[0])
        return found

    def _run(self, apps: tuple[str, ...], *options: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return subprocess.run(
            [sys.executable, *options, "-c", CHILD, *apps],
            cwd=PROJECT,
            env=environment | {"PYTHONPYCACHEPREFIX": self.compiled},
            capture_output=True,
            text=True,
            check=True,
        )


@contextmanager
def starter() -> Iterator[Starter]:
    """Return a starter, and delete what it compiled."""
    with tempfile.TemporaryDirectory(prefix="lazyauth-setup-") as compiled:
        yield Starter(compiled)


def in_turns(start: Starter, samples: int) -> tuple[float, float]:
    """Return the median seconds of ours and the peer."""
    sides = ((OUR_APPS, []), (PEER_APPS, []))  # type: tuple[tuple[tuple[str, ...], list[float]], ...]
    for apps, _taken in sides:
        start.seconds(apps)
    for number in range(samples):
        for apps, taken in sides if number % 2 else reversed(sides):
            taken.append(start.seconds(apps))
    ours, peer = (median(taken) for _apps, taken in sides)
    return ours, peer


def added(start: Starter) -> Counter[str]:
    """Return the microseconds of what the app imports in addition, by room and by package."""
    ours, peer = start.imports(OUR_APPS), start.imports(PEER_APPS)
    costs: Counter[str] = Counter()
    for name, cost in ours.items():
        if name not in peer:
            parts = name.split(".")
            costs[".".join(parts[: 2 if parts[0] == "django_lazyauth" else 1])] += cost
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=40, help="processes of each side")
    samples = parser.parse_args().samples
    with starter() as start:
        ours, peer = in_turns(start, samples)
        print(f"ours {ours * 1000:.1f} ms, peer {peer * 1000:.1f} ms, ratio {ours / peer:.3f}")
        for name, cost in added(start).most_common(20):
            print(f"  {cost / 1000:6.1f} ms  {name}")


if __name__ == "__main__":
    main()
