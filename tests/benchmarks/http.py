"""The same requests over HTTP: gunicorn with two workers serves both sides, and eight connections load it.

One sample is a batch of requests, so that the median is the time of a batch and the ratio of two medians is the ratio
of the throughputs. The client writes prepared bytes to plain sockets, because what it computes slows both sides.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import connection
from django.http import HttpRequest

from .harness import Claim, Side

WORKERS = 2
CONNECTIONS = 8
#: Requests of one sample. A batch takes some 50 ms, which is long against the start and the end of it.
BATCH = 24
#: Seconds to wait for gunicorn to start, and for one answer.
PATIENCE = 60


class Server:
    """gunicorn on a free port of loopback, on the database of the benchmark."""

    def __init__(self) -> None:
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = ["gunicorn", "django.core.wsgi:get_wsgi_application()", f"--workers={WORKERS}"]
        given = {
            "database": str(connection.settings_dict["NAME"]),
            "signing_key": settings.LAZYAUTH["SIGNING_KEYS"][0],
        }
        process = subprocess.Popen(
            [sys.executable, "-m", *command, f"--bind=127.0.0.1:{self.port}", "--log-level=warning"],
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "tests.benchmarks.site",
                "LAZYAUTH_BENCHMARK_SITE": json.dumps(given),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            self._wait_until_it_listens(process)
            yield
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                self._connect().close()
            except OSError:
                if process.poll() is not None or time.monotonic() > give_up:
                    raise
                time.sleep(0.05)
            else:
                return

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def answer(self, request: bytes) -> bytes:
        """Send *request* on a connection of its own, as gunicorn's default workers want it."""
        with self._connect() as calling:
            calling.sendall(request)
            parts = []
            while part := calling.recv(65536):
                parts.append(part)
        return b"".join(parts)


def to_bytes(request: HttpRequest) -> bytes:
    """Return *request* as it stands on the wire behind a proxy that ended TLS."""
    body = request.body
    headers = {
        "Host": "auth.example",
        "X-Forwarded-Proto": "https",
        "Connection": "close",
        "Accept": request.headers["accept"],
        "Content-Type": request.content_type,
        "Content-Length": str(len(body)),
    }
    if credentials := request.headers.get("authorization"):
        headers["Authorization"] = credentials
    lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Batches:
    """Batches of requests for one side; *expected* stands in each answer."""

    server: Server
    pool: ThreadPoolExecutor
    prepare_requests: Callable[[int], Sequence[HttpRequest]]
    expected: bytes

    def prepare(self, count: int) -> list[list[bytes]]:
        requests = [to_bytes(request) for request in self.prepare_requests(count * BATCH)]
        return [requests[start : start + BATCH] for start in range(0, len(requests), BATCH)]

    def run(self, batch: list[bytes]) -> None:
        for answer in self.pool.map(self.server.answer, batch):
            if not answer.startswith(b"HTTP/1.1 200 ") or self.expected not in answer:
                raise AssertionError(f"answered {answer[:400]!r}")


def over_http(
    text: str, *, throughput: float, expected: bytes, in_process: Callable[[], tuple[Side, Side]]
) -> Claim:
    """Return the claim that ours answers *throughput* times as many requests of *in_process* as the peer.

    The sides of *in_process* prepare requests and check the rows that were written; what runs them here is HTTP.
    """
    server = Server()
    return Claim(
        f"{text}, gunicorn, {WORKERS} workers, {CONNECTIONS} connections, seconds of {BATCH} requests",
        bound=round(1 / throughput, 3),
        sides=partial(_sides, server, in_process, expected),
        rounds=5,
        samples=6,
        vendors=frozenset({"postgresql"}),
        around=server.running,
        counts_queries=False,
    )


def _sides(server: Server, in_process: Callable[[], tuple[Side, Side]], expected: bytes) -> tuple[Side, Side]:
    pool = ThreadPoolExecutor(CONNECTIONS)
    ours, peer = in_process()
    made = [Batches(server, pool, side.prepare, expected) for side in (ours, peer)]
    return Side(made[0].prepare, made[0].run, ours.check), Side(made[1].prepare, made[1].run, peer.check)
