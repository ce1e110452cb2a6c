"""A tool server that says what reached it, behind ``UpstreamSwap``, for uvicorn (``asgi``) and gunicorn (``wsgi``).

What it works with comes as JSON in ``SWAP_JOB``: the test's database, its LAZYAUTH, and the middleware's arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def _setup() -> dict[str, Any]:
    import django
    from django.conf import settings

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    job: dict[str, Any] = json.loads(os.environ["SWAP_JOB"])
    settings.DATABASES["default"]["NAME"] = job["database"]
    settings.LAZYAUTH = job["lazyauth"]
    django.setup()
    return job["swap"]  # type: ignore[no-any-return]


async def tool_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    seen = [(name.decode().lower(), value.decode()) for name, value in scope["headers"]]
    body = json.dumps({"path": scope["path"], "headers": seen}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def tool_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    seen = [
        (name.removeprefix("HTTP_").replace("_", "-").lower(), value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"path": environ["PATH_INFO"], "headers": seen}).encode()]


def asgi() -> Any:
    arguments = _setup()
    from django_lazyauth.api.asgi import UpstreamSwap

    return UpstreamSwap(tool_asgi, **arguments)


def wsgi() -> Any:
    arguments = _setup()
    from django_lazyauth.api.wsgi import UpstreamSwap

    return UpstreamSwap(tool_wsgi, **arguments)


COMMANDS = {
    "uvicorn": [
        "uvicorn",
        "--factory",
        "tests.support.swap_servers:asgi",
        "--log-level=warning",
        "--port={}",
    ],
    "gunicorn": ["gunicorn", "tests.support.swap_servers:wsgi()", "--threads=8", "--bind=127.0.0.1:{}"],
}


@contextlib.contextmanager
def serving(server: str, **swap: Any) -> Iterator[int]:
    """Run *server* with the swap's arguments; give its port."""
    from django.conf import settings
    from django.db import connection

    lazyauth = settings.LAZYAUTH
    job = {
        "database": swap.pop("database", connection.settings_dict["NAME"]),
        "lazyauth": lazyauth,
        "swap": swap,
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [part.format(port) for part in COMMANDS[server]]
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | {"SWAP_JOB": json.dumps(job)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            wait_until_it_listens(port, process)
            yield port
        finally:
            process.terminate()
            process.communicate(timeout=20)


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < give_up
            time.sleep(0.05)
        else:
            return
