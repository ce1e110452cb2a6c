"""The site and the demo's upstream as processes of their own, on loopback.

:class:`Stage` is the whole set: two databases in one directory, two servers, and the way to run the site's
commands. Nothing of the caller's environment reaches them except what Python itself needs: a database of
yours is never touched.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

BASE_DIR = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 5
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "SYSTEMROOT")
UPSTREAM = ("-m", "example_project.upstream")
SITE = ("manage.py",)


class ProcessError(Exception):
    """A command failed or a server ended. The text says what it printed last."""


def free_port(preferred: int = 0) -> int:
    """Return a free port: *preferred* if possible, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, preferred))
        except OSError:
            probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class Process:
    """Python with *arguments*, run in the checkout while the ``with`` block lasts; what it prints goes to *log*."""

    def __init__(self, *arguments: str, env: Mapping[str, str], log: Path) -> None:
        self._arguments = arguments
        self._env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | dict(env)
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments],
                cwd=BASE_DIR,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process, by force if it does not end by itself. Does nothing if it has ended."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def is_up(self) -> bool:
        return self._process.poll() is None

    def finish(self) -> None:
        """Wait for a command to succeed.

        Raises:
            ProcessError: It did not.
        """
        if self._process.wait():
            raise self.error("It failed.")

    def error(self, what: str) -> ProcessError:
        """Return *what* went wrong, with the command and the last that it printed."""
        printed = self._log.read_text(errors="replace").splitlines()[-20:]
        return ProcessError("\n".join([f"python {' '.join(self._arguments)}", what, *printed]))


class Server(Process):
    """``runserver`` of a Django project."""

    #: What answers when the server is ready.
    ready_path = "/.well-known/openid-configuration"

    def __init__(self, *program: str, port: int, env: Mapping[str, str], log: Path) -> None:
        super().__init__(*program, "runserver", "--noreload", f"{HOST}:{port}", env=env, log=log)
        self.url = f"http://{HOST}:{port}"

    def wait_until_ready(self) -> None:
        """Return when the server answers.

        Raises:
            ProcessError: It ended, or does not answer within 30 seconds, or answers with an error.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_up:
                raise self.error("It ended.")
            try:
                opener.open(f"{self.url}{self.ready_path}", timeout=START_SECONDS).close()
            except urllib.error.HTTPError as error:
                error.close()
                raise self.error(f"It answers {error.code}.") from error
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise self.error(f"It does not answer within {START_SECONDS} seconds.")


class Proxy(Server):
    """The reverse proxy in front of the upstream's API; see ``example_project.proxy``."""

    ready_path = "/"

    def __init__(self, *, port: int, env: Mapping[str, str], log: Path) -> None:
        Process.__init__(self, "-m", "example_project.proxy", str(port), env=env, log=log)
        self.url = f"http://{HOST}:{port}"


@dataclass
class Stage:
    """The example site and its upstream in *directory*, prepared and running while the ``with`` block lasts.

    Attributes:
        directory: An empty directory: databases, keys, logs and mails go there.
        site_port: Preferred port of the site; 0 for any that is free.
        upstream_port: The same of the upstream.
        site_settings: More environment variables for the site.
        upstream_settings: The same for the upstream.
    """

    directory: Path
    site_port: int = 0
    upstream_port: int = 0
    site_settings: Mapping[str, str] = field(default_factory=dict)
    upstream_settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.site_port = free_port(self.site_port)
        self.upstream_port = free_port(self.upstream_port)
        self._client = {"id": "lazyauth-example-site", "secret": secrets.token_urlsafe(32)}

    @property
    def site_url(self) -> str:
        return f"http://{HOST}:{self.site_port}"

    @property
    def issuer(self) -> str:
        """The site's issuer: at the root it ends in a slash, as the documentation recommends."""
        return f"{self.site_url}/"

    @property
    def upstream_url(self) -> str:
        return f"http://{HOST}:{self.upstream_port}"

    @property
    def upstream_client(self) -> tuple[str, str]:
        """Id and secret of the site's client at the upstream."""
        return self._client["id"], self._client["secret"]

    @property
    def database(self) -> Path:
        """The site's SQLite file."""
        return self.directory / "site" / "site.sqlite3"

    @property
    def log(self) -> Path:
        return self.directory / "site.log"

    @property
    def is_up(self) -> bool:
        return self.upstream.is_up and self.site.is_up

    def __enter__(self) -> Self:
        upstream_env, upstream_log = self._upstream_env(), self.directory / "upstream.log"
        with ExitStack() as processes:
            run = processes.enter_context
            preparing = run(Process(*UPSTREAM, *self._prepare_upstream(), env=upstream_env, log=upstream_log))
            migrating = run(
                Process(
                    *SITE, "migrate", "--skip-checks", "--verbosity=0", env=self._site_env(), log=self.log
                )
            )
            preparing.finish()
            self.upstream = run(
                Server(*UPSTREAM, port=self.upstream_port, env=upstream_env, log=upstream_log)
            )
            migrating.finish()
            self.site = run(Server(*SITE, port=self.site_port, env=self._site_env(), log=self.log))
            self.upstream.wait_until_ready()
            self.site.wait_until_ready()
            self._processes = processes.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    def restart_site(self) -> None:
        """End the site's process and start another. Only what is in the database remains."""
        self.site.stop()
        self.site = Server(*SITE, port=self.site_port, env=self._site_env(), log=self.log)
        self._processes.enter_context(self.site)
        self.site.wait_until_ready()

    def manage(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        """Run a command of the site, such as ``createapplication``.

        Raises:
            ProcessError: It did not succeed.
        """
        log = self.directory / "commands.log"
        with Process(*SITE, *arguments, env={**self._site_env(), **(env or {})}, log=log) as command:
            command.finish()

    def upstream_says(self, *arguments: str) -> str:
        """Return what a command of the upstream prints.

        Raises:
            ProcessError: It did not succeed.
        """
        log = self.directory / f"upstream-{arguments[0]}.log"
        with Process(*UPSTREAM, *arguments, env=self._upstream_env(), log=log) as command:
            command.finish()
        return log.read_text().strip()

    @contextmanager
    def proxy(self) -> Iterator[str]:
        """Run the reverse proxy as well; give its URL."""
        port = free_port()
        with Proxy(port=port, env=self._site_env(), log=self.directory / "proxy.log") as proxy:
            proxy.wait_until_ready()
            yield proxy.url

    def _prepare_upstream(self) -> list[str]:
        return [
            "prepare_upstream",
            f"--redirect-uri={self.site_url}/callback/demo",
            f"--client-id={self._client['id']}",
            f"--client-secret={self._client['secret']}",
        ]

    def _upstream_env(self) -> dict[str, str]:
        return {
            "UPSTREAM_ISSUER": self.upstream_url,
            "UPSTREAM_VAR_DIR": str(self.directory / "upstream"),
            **self.upstream_settings,
        }

    def _site_env(self) -> dict[str, str]:
        return {
            "SITE_VAR_DIR": str(self.directory / "site"),
            "LAZYAUTH_ISSUER": self.issuer,
            "MAIL_DIR": str(self.directory / "mail"),
            "DEMO_UPSTREAM_ISSUER": self.upstream_url,
            "DEMO_UPSTREAM_CLIENT_ID": self._client["id"],
            "DEMO_UPSTREAM_CLIENT_SECRET": self._client["secret"],
            **self.site_settings,
        }
