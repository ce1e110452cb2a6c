"""What must be done before this process may take traffic.

A room registers a probe when the app starts. The readiness endpoint asks the probes and knows none of their rooms.
"""

from __future__ import annotations

from collections.abc import Callable

_probes: dict[str, Callable[[], bool]] = {}


def register_probe(name: str, is_waiting: Callable[[], bool]) -> None:
    """Make the process wait while *is_waiting* returns ``True``. The endpoint shows *name* to everybody."""
    _probes[name] = is_waiting


def waits_for() -> list[str]:
    """Return the names of what the process still waits for.

    Raises:
        DatabaseError: The database does not answer.
        ImproperlyConfigured: A setting that a probe needs cannot be read.
    """
    return [name for name, is_waiting in _probes.items() if is_waiting()]
