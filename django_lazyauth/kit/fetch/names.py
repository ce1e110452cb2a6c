"""Resolve host names within the deadline."""

from __future__ import annotations

import ipaddress
import socket
import threading

from .addresses import IPAddress, Policy, Target
from .answer import FetchError
from .sockets import Limits

#: Look-ups that may run at the same time in this process, per policy. One that hangs keeps its thread.
LOOKUP_LIMIT = 32
#: One per policy: hanging names of strangers must not block those of the operator's providers.
_lookups = {is_strict: threading.BoundedSemaphore(LOOKUP_LIMIT) for is_strict in (True, False)}


def resolve(target: Target, policy: Policy, limits: Limits) -> tuple[IPAddress, ...]:
    """Return all addresses of the host, from one look-up.

    The resolver of the system has no deadline. It runs in a thread, which is left running when ours has passed.
    """
    slot = _lookups[policy.is_strict]
    try:
        if not slot.acquire(timeout=limits.seconds_left()):
            raise FetchError("timeout")
        lookup = _Lookup(target.host, target.port, slot)
        lookup.start()
        lookup.join(limits.seconds_left())
    except TimeoutError:
        raise FetchError("timeout") from None
    if lookup.is_alive():
        raise FetchError("timeout")
    if lookup.found is None:
        raise FetchError("dns")
    return lookup.found


class _Lookup(threading.Thread):
    """One look-up; ``found`` stays ``None`` if it failed."""

    def __init__(self, host: str, port: int, slot: threading.BoundedSemaphore) -> None:
        super().__init__(name="lazyauth-lookup", daemon=True)
        self.host, self.port, self.slot = host, port, slot
        self.found: tuple[IPAddress, ...] | None = None

    def run(self) -> None:
        try:
            answers = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            # A scoped answer ("fe80::1%eth0") keeps its scope, and is checked with it.
            self.found = tuple(dict.fromkeys(ipaddress.ip_address(answer[4][0]) for answer in answers))
        except (OSError, ValueError):
            self.found = None
        finally:
            self.slot.release()
