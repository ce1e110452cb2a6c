"""A project as ``startproject`` makes it, with this app added as the README says, and served by gunicorn."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from bs4 import BeautifulSoup

from tests.settings import SIGNING_KEY
from tests.support.journey import OAuthClient
from tests.support.swap_servers import wait_until_it_listens
from tests.support.two_sites import free_port

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
import os

INSTALLED_APPS += ["oauth2_provider", "rest_framework", "django_lazyauth"]
LAZYAUTH = {
    "ISSUER": os.environ.get("ISSUER", "http://127.0.0.1:8000"),
    "SIGNING_KEYS": [os.environ["SIGNING_KEY"]],
    "VAULT_KEYS": ["test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
    "REGISTRATION_POLICY": "open",
    "REGISTRATIONS_PER_NETWORK": 1000,
    "PROVIDERS": {"demo": {"class": "tests.support.providers.BelievingProvider"}},
}
"""
URLS = """
from django.urls import include

urlpatterns += [path("", include("django_lazyauth.urls"))]
"""


class FreshProject:
    """The project ``mysite`` below *path*.

    Args:
        settings: Lines at the end of its settings.
        files: Name below ``mysite/`` → content.
    """

    def __init__(self, path: Path, *, settings: str = "", files: dict[str, str] | None = None) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", str(path)], check=True)
        for name, text in {"settings.py": SETTINGS + settings, "urls.py": URLS, **(files or {})}.items():
            with (path / "mysite" / name).open("a") as file:
                file.write(text)

    def environment(self, **more: str) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "SIGNING_KEY": SIGNING_KEY,
            **more,
        }

    def run(self, *command: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run ``python …`` in the project. Each warning is an error there."""
        done = subprocess.run(
            [sys.executable, "-W", "error", *command],
            cwd=self.path,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def manage(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run("manage.py", *command, **more)

    @contextlib.contextmanager
    def serving(self, *options: str) -> Iterator[str]:
        """Run gunicorn with *options*; give the URL of the site."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        gunicorn = [sys.executable, "-m", "gunicorn", "mysite.wsgi", f"--bind=127.0.0.1:{port}"]
        with (
            (self.path / "gunicorn.log").open("w") as log,
            subprocess.Popen(
                # By default a connection is closed that was idle for two seconds. A busy machine needs longer.
                [*gunicorn, "--log-level=warning", "--backlog=512", "--keep-alive=60", *options],
                cwd=self.path,
                env=self.environment(ISSUER=url),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                wait_until_it_listens(port, process)
                yield url
            finally:
                process.terminate()
                process.wait(timeout=30)

    @property
    def log(self) -> str:
        return (self.path / "gunicorn.log").read_text()


@contextlib.contextmanager
def people_at(url: str, prefix: str, count: int) -> Iterator[list[Person]]:
    """Give *count* people, each with a browser and a client of their own."""
    people = [Person(url, "app", f"{prefix}-{number}") for number in range(count)]
    try:
        yield people
    finally:
        for person in people:
            person.http.close()


class Person:
    """A person with a browser and a client, over HTTP."""

    def __init__(self, url: str, client_id: str, subject: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=90, headers={"Accept-Language": "en"})
        self.client = OAuthClient(client_id)
        self.subject = subject
        #: Of every answer.
        self.statuses: list[tuple[str, int]] = []

    def ask(self, method: str, url: str, form: dict[str, str] | None = None) -> httpx.Response:
        response = self.http.request(method, url, data=form)
        self.statuses.append((f"{method} {urlsplit(url).path}", response.status_code))
        return response

    def submit(self, page: httpx.Response, **values: str) -> httpx.Response:
        form = BeautifulSoup(page.content, "html.parser").find("form")
        assert form is not None, self.statuses
        fields = {
            field["name"]: field.get("value", "") for field in form.find_all("input") if field.get("name")
        }
        return self.ask("POST", form["action"], fields | values)

    def sign_in(self) -> str:
        """Go the whole way; return the code."""
        sent = self.ask("GET", f"/authorize?{self.client.authorize_query()}")
        if sent.status_code == 200:
            sent = self.submit(sent, provider="demo")
        state = dict(parse_qsl(urlsplit(sent.headers["Location"]).query))["state"]
        answer = self.ask("GET", f"/callback/demo?{urlencode({'state': state, 'code': self.subject})}")
        if not answer.headers["Location"].startswith(self.client.redirect_uri):
            answer = self.submit(self.ask("GET", answer.headers["Location"]), decision="allow")
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))["code"]

    def redeem(self, code: str) -> httpx.Response:
        return self.ask("POST", "/token", self.client.token_form(code))

    def refresh(self, refresh_token: str) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": self.client.client_id,
        }
        return self.ask("POST", "/token", form)
