"""``docs/how-to/deploy.md``: PostgreSQL, Redis, gunicorn and uvicorn behind nginx; and ``backup.md`` after it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.browser.client import OAuthClient
from tests.support.certificates import certificate
from tests.support.reader import Reader, blocks_of, commands, wait_for
from tests.support.two_sites import free_port

from .conftest import environment, settle
from .person import ADDRESS, PASSWORD, Person, tokens

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

PAGE, ISSUER = "how-to/deploy.md", "https://auth.example.org/"
POSTGRES = os.environ.get("LAZYAUTH_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
#: The site answers there; a browser that arrives has the code in its address.
CALLBACK = f"{ISSUER}health"
#: Refresh tokens that work.
LIVE = "oauth2_provider_refreshtoken WHERE revoked IS NULL"
#: As Debian's package has it, but for the places.
NGINX = """
user root;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ text/css css; }}
    include {folder}/conf.d/*.conf;
}}
"""


class ToNginx(httpx.HTTPTransport):
    """Finds ``auth.example.org`` at a port of this machine."""

    def __init__(self, port: int, **options: object) -> None:
        self.port = port
        super().__init__(**options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "auth.example.org", request.url
        there = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1", port=self.port),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": "auth.example.org"},
        )
        return super().handle_request(there)


class Postgres:
    """The server that the tests have; with databases of this test, which it deletes."""

    def __init__(self) -> None:
        psycopg = pytest.importorskip("psycopg")
        self.connect = psycopg.connect
        try:
            self.connection = self.connect(POSTGRES, autocommit=True, connect_timeout=3)
        except psycopg.OperationalError:
            pytest.skip("service: no PostgreSQL here")
        self.made: list[str] = []
        parts = urlsplit(POSTGRES)
        self.environment = {
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port or 5432),
            "PGUSER": parts.username or "",
            "PGPASSWORD": parts.password or "",
        }

    def create(self) -> str:
        self.made.append(f"lazyauth_how_to_{secrets.token_hex(6)}")
        self.connection.execute(f"CREATE DATABASE {self.made[-1]}")
        return self.made[-1]

    def count(self, database: str, rows: str) -> int:
        with self.connect(POSTGRES, dbname=database) as connection:
            return connection.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]

    def close(self) -> None:
        for name in self.made:
            self.connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        self.connection.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with closing(Postgres()) as server:
        yield server


@pytest.fixture(scope="module")
def deployed(first_steps, installed, postgres, tmp_path_factory) -> Iterator[Reader]:
    """A reader who followed the page to "At each deployment", with nginx and a certificate."""
    if shutil.which("nginx") is None and not os.path.exists("/usr/sbin/nginx"):
        pytest.skip("service: no nginx here")
    folder = tmp_path_factory.mktemp("srv") / "mysite"
    folder.mkdir()
    reader = Reader(folder, environment(installed))
    settle(reader, first_steps)
    (folder / ".venv").symlink_to(installed)
    for name in ("nginx/conf.d", "ssl", "systemd"):
        (folder / name).mkdir(parents=True)
    made = certificate(folder, names=["auth.example.org"])
    for name in ("fullchain.pem", "privkey.pem"):
        shutil.copyfile(made, folder / "ssl" / name)
    reader.names |= {
        "/srv/mysite": str(folder),
        "/etc/mysite/production.env": str(folder / "production.env"),
        "/etc/ssl/auth.example.org/": f"{folder}/ssl/",
        "/etc/nginx/": f"{folder}/nginx/",
        "/etc/systemd/system/": f"{folder}/systemd/",
        "listen 443 ssl": f"listen 127.0.0.1:{free_port()} ssl",
        '"NAME": "mysite"': f'"NAME": "{postgres.create()}"',
        # Nobody else's keys are at this number.
        "redis://127.0.0.1:6379/1": "redis://127.0.0.1:6379/14",
    }
    reader.follow(PAGE, "Settings and keys")
    own = {"SECRET_KEY": secrets.token_urlsafe(50), **postgres.environment}
    reader.write("production.env", "".join(f"{name}={value}\n" for name, value in own.items()), end=True)
    reader.follow(PAGE, "Each deployment")
    person = f"DJANGO_SUPERUSER_PASSWORD='{PASSWORD}' python manage.py createsuperuser --no-input"
    reader.type(f"{person} --username {ADDRESS} --email {ADDRESS}")
    reader.type(f"python manage.py createlazyauthclient App --client-id app --redirect-uri {CALLBACK}")
    nginx = start_nginx(reader)
    try:
        yield reader
    finally:
        reader.stop()
        nginx.terminate()
        nginx.wait(timeout=20)


def start_nginx(reader: Reader) -> subprocess.Popen[bytes]:
    """Start nginx, and let the reader's ``nginx`` speak to it."""
    folder, program = reader.folder / "nginx", shutil.which("nginx") or "/usr/sbin/nginx"
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    arguments = [
        program,
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        str(folder / "nginx.log"),
    ]
    script = reader.folder / "bin" / "nginx"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {" ".join(arguments)} "$@"\n')
    script.chmod(0o755)
    reader.environment = reader.environment | {"PATH": f"{script.parent}:{reader.environment['PATH']}"}
    process = subprocess.Popen([*arguments, "-g", "daemon off;"])
    wait_for((folder / "nginx.pid").exists)
    return process


@contextmanager
def served(deployed: Reader, server: str) -> Iterator[Person]:
    """Start *server*, and give a person who comes through nginx."""
    deployed.follow(PAGE, server)
    deployed.follow(PAGE, "nginx")
    trusted = ssl.create_default_context(cafile=deployed.folder / "ssl/fullchain.pem")
    port = int(re.search(r":(\d+) ssl", deployed.mine("listen 443 ssl"))[1])
    try:
        with Person(deployed, server, transport=ToNginx(port, verify=trusted)) as person:
            wait_for(
                lambda: person.http.get(f"{ISSUER}ready").status_code == 200, lambda: deployed.log(server)
            )
            yield person
    finally:
        status = deployed.close_terminal(server)
    assert status == 0


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_people_sign_in_through_nginx(server, deployed):
    """Spec 11: https from outside, http inside."""
    client = OAuthClient(ISSUER, "app", CALLBACK)
    with served(deployed, server) as person:
        start = person.http.get(client.url(state="s" * 2000))
        [style] = re.findall(r'<link rel="stylesheet" href="([^"]+)"', start.text)
        assert person.http.get(urljoin(ISSUER, style)).headers["Content-Type"] == "text/css"
        assert "Secure" in start.headers["Set-Cookie"]
        issued = tokens(person, client, person.sign_in(client.url()), f"{ISSUER}token")
        bearer = {"Authorization": f"Bearer {issued['access_token']}"}
        assert person.http.get(f"{ISSUER}userinfo", headers=bearer).json()["email"] == ADDRESS


def test_a_restored_backup_brings_no_session_back(deployed, postgres):
    """I21: what ended after the backup was made has ended again when the site is opened."""
    page, database = "how-to/backup.md", postgres.made[0]
    deployed.names["--dbname=mysite"] = f"--dbname={database}"
    client = OAuthClient(ISSUER, "app", CALLBACK)
    with served(deployed, "gunicorn") as person:
        issued = tokens(person, client, person.sign_in(client.url()), f"{ISSUER}token")
        deployed.follow(page, "Back up and restore")
        form = {"token": issued["refresh_token"], "client_id": "app"}
        assert person.http.post(f"{ISSUER}revoke_token", data=form).status_code == 200
    before = postgres.count(database, LIVE)
    restore, *rest = (block for block in blocks_of(page) if block.heading == "Restore")
    deployed.do(restore)
    assert postgres.count(database, LIVE) == before + 1
    for block in rest:
        deployed.do(block)
    assert postgres.count(database, LIVE) == 0
    assert postgres.count(database, "auth_user") == 1


def test_systemd_takes_the_units(deployed):
    """Paths, options and directives."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("service: no systemd here")
    deployed.follow(PAGE, "systemd")


def test_the_container_runs_what_the_page_runs(deployed):
    """Without a registry of images: the file is read, and its command is the page's, but for the address."""
    deployed.follow(PAGE, "Containers")
    lines = deployed.read("Dockerfile").splitlines()
    steps = [line.split(" ", 1) for line in lines]
    assert [name for name, _ in steps] == ["FROM", "WORKDIR", "RUN", "COPY", "USER", "CMD"]
    [run], [cmd] = ([rest for name, rest in steps if name == wanted] for wanted in ("RUN", "CMD"))
    deployed.type(run)
    [started] = [
        command
        for block in blocks_of(PAGE)
        if block.heading == "gunicorn"
        for command, _ in commands(block.text)
        if command.startswith("gunicorn")
    ]
    assert " ".join(json.loads(cmd)).replace("0.0.0.0", "127.0.0.1") == started
