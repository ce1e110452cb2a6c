"""Register very many clients from few networks, and watch what it costs: ``python -m tests.benchmarks.flood``.

Every request goes through all of Django. The limit per network is lifted for the first part, so that all of them
reach the tables and the cap on unused clients does the work; the second part runs with the limit as shipped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

import django

#: What the first and the last registrations are compared over.
WINDOW = 1000
NETWORKS = 50
REDIRECT_URIS = ["https://client.example/cb"]


@dataclass(frozen=True)
class Flood:
    """Seconds of the median registration at the start and at the end, MiB then and there, and what stands.

    ``first_cpu`` and ``last_cpu`` are the processor's seconds in this process: what others do on the machine
    does not show in them, and what the database does neither.
    """

    first: float
    last: float
    first_cpu: float
    last_cpu: float
    memory_at_first: float
    memory_at_last: float
    unused: int
    kept: int
    newest_kept: bool

    @property
    def ratio(self) -> float:
        return self.last / self.first


def memory() -> float:
    """Resident memory of this process in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def post(handler: Any, document: dict[str, Any], network: int) -> Any:
    from django.test import RequestFactory

    request = RequestFactory().post(
        "/register/",
        json.dumps(document),
        content_type="application/json",
        secure=True,
        SERVER_NAME="auth.example",
        REMOTE_ADDR=f"10.{network // 256}.{network % 256}.7",
    )
    return handler.get_response(request)


def make_handler() -> Any:
    from django.core.handlers.base import BaseHandler

    handler = BaseHandler()
    handler.load_middleware()
    return handler


def flood(count: int, *, window: int = WINDOW, report: Any = None) -> Flood:
    """Register *count* confidential clients beside some that an operator made and some that are in use."""
    from django.utils import timezone
    from oauth2_provider.models import get_application_model

    from django_lazyauth.models import ClientRegistration

    handler = make_handler()
    clients = get_application_model().objects
    manual = [_make_manual(number) for number in range(50)]
    active = [
        post(handler, {"redirect_uris": REDIRECT_URIS, "client_name": f"active {number}"}, number)
        for number in range(50)
    ]
    ids = [json.loads(answer.content)["client_id"] for answer in active]
    ClientRegistration.objects.filter(client__client_id__in=ids).update(
        last_used_at=timezone.now(), expires_at=None, slot=None
    )
    times: list[float] = []
    cpu: list[float] = []
    memory_at_first, newest = 0.0, ""
    for number in range(count):
        document = {"redirect_uris": REDIRECT_URIS, "client_name": f"client {number}"}
        start, start_cpu = perf_counter(), process_time()
        answer = post(handler, document, number % NETWORKS)
        times.append(perf_counter() - start)
        cpu.append(process_time() - start_cpu)
        if answer.status_code != 201:
            raise AssertionError(f"registration {number} answered {answer.status_code}: {answer.content!r}")
        newest = json.loads(answer.content)["client_id"]
        if number + 1 == window:
            memory_at_first = memory()
        if report is not None and (number + 1) % 10_000 == 0:
            report(number + 1, median(times[-window:]), memory(), clients.count())
    kept = clients.filter(client_id__in=[*manual, *ids]).count()
    return Flood(
        first=median(times[:window]),
        last=median(times[-window:]),
        first_cpu=median(cpu[:window]),
        last_cpu=median(cpu[-window:]),
        memory_at_first=memory_at_first,
        memory_at_last=memory(),
        unused=ClientRegistration.objects.unused().count(),
        kept=kept,
        newest_kept=clients.filter(client_id=newest).exists(),
    )


def _make_manual(number: int) -> str:
    from oauth2_provider.models import get_application_model

    row = get_application_model().objects.create(
        client_id=f"manual-{number}",
        client_type="public",
        authorization_grant_type="authorization-code",
        redirect_uris=REDIRECT_URIS[0],
        client_secret="",
        hash_client_secret=False,
    )
    return str(row.client_id)


def identical(count: int) -> int:
    """Send the same registration *count* times; return how many clients that made.

    Rows are counted by name: where the cap is reached, a new client makes others go.
    """
    from oauth2_provider.models import get_application_model

    handler = make_handler()
    document = {"redirect_uris": REDIRECT_URIS, "token_endpoint_auth_method": "none", "client_name": "Same"}
    ids = set()
    for _ in range(count):
        answer = post(handler, document, 0)
        if answer.status_code != 201:
            raise AssertionError(f"answered {answer.status_code}: {answer.content!r}")
        ids.add(json.loads(answer.content)["client_id"])
    return max(len(ids), int(get_application_model().objects.filter(name="Same").count()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--identical", type=int, default=10_000)
    options = parser.parse_args()
    os.environ.setdefault("LAZYAUTH_TEST_DATABASE", "postgresql")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.conf import settings
    from django.core.cache import cache
    from django.db import connection

    shipped = settings.LAZYAUTH
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        settings.LAZYAUTH = shipped | {"REGISTRATIONS_PER_NETWORK": 10**9}
        found = flood(
            options.count,
            report=lambda number, seconds, mebibytes, rows: print(
                f"{number:>7}: {seconds * 1000:.2f} ms, {mebibytes:.0f} MiB, {rows} clients", flush=True
            ),
        )
        cache.clear()
        settings.LAZYAUTH = shipped
        same = identical(options.identical)
        handler, statuses = make_handler(), {201: 0, 429: 0}
        for number in range(min(options.count, 5000)):
            document = {"redirect_uris": REDIRECT_URIS, "client_name": f"limited {number}"}
            statuses[post(handler, document, 1000 + number % NETWORKS).status_code] += 1
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
    print(f"median of the first and last {WINDOW}: {found.first * 1000:.2f} and {found.last * 1000:.2f} ms")
    print(f"ratio: {found.ratio:.2f} (bound 1.5)")
    print(f"of these on the processor: {found.first_cpu * 1000:.2f} and {found.last_cpu * 1000:.2f} ms")
    print(
        f"memory: {found.memory_at_first:.0f} MiB after {WINDOW}, {found.memory_at_last:.0f} MiB at the end"
    )
    print(
        f"unused clients: {found.unused} (cap 10,000); manual and active that survived: {found.kept} of 100"
    )
    print(f"{options.identical} identical registrations made {same} client")
    print(f"as shipped, from {NETWORKS} networks: {statuses[201]} registered, {statuses[429]} refused")
    holds = found.ratio <= 1.5 and found.unused <= 10_000 and found.kept == 100 and same == 1
    return 0 if holds and statuses[201] == 20 * NETWORKS else 1


if __name__ == "__main__":
    sys.exit(main())
