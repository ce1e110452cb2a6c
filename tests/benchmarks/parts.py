"""Where the time of both sides of a claim goes: statements, commits, signatures, and what Python does between them.

``LAZYAUTH_TEST_DATABASE=postgresql python -m tests.benchmarks.parts public_exchange`` prints medians in milliseconds.
The *floor* is what is left where our own Python costs nothing: the same statements, commits and signatures, and an
empty request through the same middleware.

To look costs time itself, a few per cent of each part. The claims are measured without it (:mod:`.measure`).
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter
from typing import Any
from unittest import mock

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.settings")

#: Not more at once: more sign-ins would wait in one network than a site allows.
ROUNDS, SAMPLES = 10, 30
#: A path that nothing answers: middleware, and the way through the URLs.
NOTHING = "/nothing"


class Parts:
    """Seconds of each part, one number for each sample."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)
        self._now: dict[str, float] = defaultdict(float)

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return *work*, which counts as the part *name*."""

        def run(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                self._now[name] += perf_counter() - start

        return run

    def sample(self, run: Callable[[Any], object], prepared: Any) -> None:
        self._now.clear()
        start = perf_counter()
        run(prepared)
        total = perf_counter() - start
        named = sum(self._now.values())
        for name, seconds in {**self._now, "Python": total - named, "all": total}.items():
            self.taken[name].append(seconds)

    def milliseconds(self, name: str) -> float:
        """Return the median of a part. One that a sample did not have counts as nothing there."""
        times = self.taken[name]
        return median([*times, *[0.0] * (len(self.taken["all"]) - len(times))]) * 1000


@contextmanager
def looking(parts: Parts) -> Iterator[None]:
    from django.db import connection
    from jwcrypto.jws import JWS
    from jwt import algorithms

    def statement(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        return parts.timed("statements", execute)(sql, params, many, context)

    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(statement))
        for name in ("_commit", "_set_autocommit"):
            timed = parts.timed("begin and commit", getattr(connection, name))
            stack.enter_context(mock.patch.object(connection, name, timed))
        # The toolkit signs with a library of its own.
        stack.enter_context(
            mock.patch.object(JWS, "add_signature", parts.timed("signatures", JWS.add_signature))
        )
        for signer in (algorithms.RSAAlgorithm, algorithms.ECAlgorithm):
            stack.enter_context(mock.patch.object(signer, "sign", parts.timed("signatures", signer.sign)))
            stack.enter_context(mock.patch.object(signer, "verify", parts.timed("signatures", signer.verify)))
        yield


def empty_request() -> float:
    """Return the median seconds of a request that is answered with 404."""
    from django.test import RequestFactory

    from .exchange import handler

    parts, factory = Parts(), RequestFactory()
    for _ in range(ROUNDS * SAMPLES):
        request = factory.post(NOTHING, secure=True, SERVER_NAME="auth.example")
        parts.sample(lambda request: handler().get_response(request), request)
    return parts.milliseconds("all")


def main() -> None:
    django.setup()
    from django.db import connection

    from .claims import all_claims

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        for claim in all_claims(sys.argv[1:] or ["public_exchange"]):
            print(f"{connection.display_name}: {claim.text}")
            call_command("flush", interactive=False, verbosity=0)
            _print_parts(claim)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _print_parts(claim: Any) -> None:
    both = Parts(), Parts()
    with claim.around():
        sides = claim.sides()
        for side in sides:
            for prepared in side.prepare(20):
                side.run(prepared)
        for _ in range(ROUNDS):
            for given in zip(*(side.prepare(SAMPLES) for side in sides), strict=True):
                for side, parts, prepared in zip(sides, both, given, strict=True):
                    with looking(parts):
                        parts.sample(side.run, prepared)
    nothing = empty_request()
    ours, peer = both
    for part in ("statements", "begin and commit", "signatures", "Python", "all"):
        print(f"    {part:<18} {ours.milliseconds(part):7.2f} {peer.milliseconds(part):7.2f}")
    whole = peer.milliseconds("all")
    floor = nothing + sum(
        ours.milliseconds(part) for part in ("statements", "begin and commit", "signatures")
    )
    bound = claim.bound_on("postgresql")
    print(
        f"    with an empty request of {nothing:.2f}, the floor is {floor:.2f}: {floor / whole:.3f} of the peer"
    )
    print(f"    measured {ours.milliseconds('all') / whole:.3f}, bound {bound}")
    left, own = bound * whole - floor, ours.milliseconds("all") - floor
    print(f"    our own Python takes {own:.2f}; the bound leaves {left:.2f} for it")


if __name__ == "__main__":
    main()
