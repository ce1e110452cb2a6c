"""What must be done before this process may take traffic.

A room registers a probe when the app starts. The readiness endpoint asks the probes and knows none of their rooms.
"""

from __future__ import annotations

from collections.abc import Callable

_probes: dict[str, Callable[[], bool]] = {}
_counts: dict[str, Callable[[], int]] = {}


def register_probe(name: str, is_waiting: Callable[[], bool]) -> None:
    """Make the process wait while *is_waiting* returns ``True``. The endpoint shows *name* to everybody."""
    _probes[name] = is_waiting


def register_count(name: str, count: Callable[[], int]) -> None:
    """Show *count* under *name* where it is not zero. The process does not wait for it."""
    _counts[name] = count


def left_behind() -> dict[str, int]:
    """Return the counts that are not zero. Raises like :func:`waits_for`."""
    found = {name: count() for name, count in _counts.items()}
    return {name: number for name, number in found.items() if number}


def waits_for() -> list[str]:
    """Return the names of what the process still waits for.

    Raises:
        DatabaseError: The database does not answer.
        ImproperlyConfigured: A setting that a probe needs cannot be read.
    """
    return [name for name, is_waiting in _probes.items() if is_waiting()]
