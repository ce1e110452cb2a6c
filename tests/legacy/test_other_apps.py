"""A real site of django-allauth, and one of python-social-auth, moves over: its people are the same users.

The tables are filled by the app's own flow against the demo's upstream, in processes of their own; then the same
database gets this app, the command runs, and people sign in through us.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from example_project.demo_client import Browser, Client, PageSeen
from example_project.environment import new_rsa_key
from example_project.servers import UPSTREAM, Process, Server, free_port
from example_project.upstream.people import PEOPLE

ROOT = Path(__file__).resolve().parents[2]
CALLBACKS = ("/accounts/oidc/corporate/login/callback/", "/complete/oidc/", "/callback/demo")
REDIRECT_URI = "http://127.0.0.1:9/cb"


class OldServer(Server):
    ready_path = "/"


@dataclass
class Site:
    """One site and its upstream; the site is started anew for each stage, on the same port and database."""

    app: str
    directory: Path
    site_port: int = field(default_factory=free_port)
    upstream_port: int = field(default_factory=free_port)
    client_id: str = "the-old-site"
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.site_port}"

    @property
    def upstream_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream_port}"

    def env(self, stage: str) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.legacy.old_site.settings",
            "OLD_SITE_APP": self.app,
            "OLD_SITE_STAGE": stage,
            "OLD_SITE_URL": self.url,
            "OLD_SITE_UPSTREAM": self.upstream_url,
            "OLD_SITE_CLIENT_ID": self.client_id,
            "OLD_SITE_CLIENT_SECRET": self.client_secret,
            "OLD_SITE_DIRECTORY": str(self.directory),
        }

    def run(self, stage: str, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **self.env(stage)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def serve(self, stage: str) -> OldServer:
        return OldServer(
            "-m", "django", port=self.site_port, env=self.env(stage), log=self.directory / f"{stage}.log"
        )

    def upstream(self) -> Server:
        log = self.directory / "upstream.log"
        env = {"UPSTREAM_ISSUER": self.upstream_url, "UPSTREAM_VAR_DIR": str(self.directory / "upstream")}
        with Process(
            *UPSTREAM,
            "prepare_upstream",
            f"--redirect-uri={' '.join(self.url + path for path in CALLBACKS)}",
            f"--client-id={self.client_id}",
            f"--client-secret={self.client_secret}",
            env=env,
            log=log,
        ) as preparing:
            preparing.finish()
        return Server(*UPSTREAM, port=self.upstream_port, env=env, log=log)

    def rows(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(self.directory / "site.sqlite3")) as database:
            return database.execute(sql).fetchall()

    def migrate_legacy(self, *arguments: str, status: int = 0) -> dict:
        source = "allauth" if self.app == "allauth" else "social-auth"
        done = self.run(
            "after",
            "django",
            "migrate_legacy_tokens",
            "--source",
            source,
            "--json",
            *arguments,
            status=status,
        )
        for person in PEOPLE:
            assert person.email not in done.stdout + done.stderr
        return json.loads(done.stdout)


def sign_in_as_before(site: Site, person) -> str:
    """Sign in with the old app; return the key of the user, as the home page shows it."""
    with Browser(stop_at=REDIRECT_URI) as browser:
        page = browser.open(site.url)
        assert page.heading == "user nobody"
        upstream = browser.press(page, "Sign in")
        assert isinstance(upstream, PageSeen)
        assert upstream.url.startswith(site.upstream_url), upstream.text
        home = browser.press(upstream, person.name)
        assert home.heading.startswith("user "), home.text
        return home.heading.removeprefix("user ")


def sign_in_with_us(site: Site, person) -> str:
    """Sign in through this app as a client's user; return the ``sub`` of who the client is told it is."""
    client = Client(client_id="a-client", redirect_uri=REDIRECT_URI, issuer=site.url)
    with client, Browser(stop_at=REDIRECT_URI) as browser:
        client.discover()
        choice = browser.open(client.authorization_url())
        assert isinstance(choice, PageSeen)
        assert choice.buttons, choice.text
        consent = browser.press(browser.press(choice, "Demo Upstream"), person.name)
        answer = browser.press(consent, "Allow")
        assert isinstance(answer, str)
        tokens = client.redeem(answer)
        told = client.userinfo(tokens["access_token"])
        assert told.status_code == 200
        return str(told.json()["sub"])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("app", ["allauth", "social-auth"])
@pytest.mark.slow
def test_the_people_of_another_app_are_the_same_users_with_us(app, tmp_path):
    site = Site(app, tmp_path)
    ada, grace, alan = PEOPLE
    (tmp_path / "signing-key.pem").write_text(new_rsa_key())
    with site.upstream() as upstream:
        upstream.wait_until_ready()

        # As it was: the other app signs people in and keeps their tokens.
        site.run("before", "django", "migrate", "--verbosity=0")
        with site.serve("before") as server:
            server.wait_until_ready()
            users = {person.username: sign_in_as_before(site, person) for person in (ada, grace, alan)}
        assert len(set(users.values())) == 3

        # The move: one of them was deactivated meanwhile.
        site.run("after", "django", "migrate", "--verbosity=0")
        with closing(sqlite3.connect(tmp_path / "site.sqlite3")) as database, database:
            database.execute("UPDATE auth_user SET is_active = 0 WHERE id = ?", [users["alan"]])
        assert site.migrate_legacy("--dry-run", "--provider", "demo")["moved"] == 3
        assert site.rows("SELECT count(*) FROM lazyauth_provideridentity") == [(0,)]
        assert site.rows("SELECT count(*) FROM oauth2_provider_application") == [(0,)]
        report = site.migrate_legacy("--provider", "demo")
        assert (report["moved"], report["dead"], report["failed"]) == (3, 1, 0)
        assert report["identities"]["added"] == 3
        again = site.migrate_legacy("--provider", "demo")
        assert (again["moved"], again["existed"], again["identities"]["added"]) == (0, 3, 0)
        linked = dict(site.rows("SELECT user_id, provider FROM lazyauth_provideridentity"))
        assert linked == {int(pk): "demo" for pk in users.values()}

        # As it is now: they sign in through us, and nobody new appears.
        site.run(
            "after", "django", "createapplication", "public", "authorization-code",
            "--client-id", "a-client", "--redirect-uris", REDIRECT_URI, "--name", "A client",
        )  # fmt: skip
        with site.serve("after") as server:
            server.wait_until_ready()
            assert requests.get(f"{site.url}/ready", timeout=10).json() == {"ready": True, "waits_for": []}
            assert sign_in_with_us(site, ada) == users["ada"]
            assert sign_in_with_us(site, grace) == users["grace"]
        assert site.rows("SELECT count(*) FROM auth_user") == [(3,)]

        # What the other app kept renews without them; what belonged to the deactivated one does not.
        dead = site.rows("SELECT user_id FROM lazyauth_upstreamtoken WHERE is_dead = 1")
        assert dead == [(int(users["alan"]),)]
        fresh = json.loads(site.run("after", "tests.legacy.old_site.moved_tokens").stdout)
        assert {str(one["user"]) for one in fresh} == {users["ada"], users["grace"]}
        assert all(one["version"] == 2 and one["provider"] == "demo" and one["token"] for one in fresh)
        metadata = requests.get(f"{site.upstream_url}/.well-known/openid-configuration", timeout=10).json()
        for one in fresh:
            told = requests.get(
                metadata["userinfo_endpoint"],
                headers={"Authorization": f"Bearer {one['token']}"},
                timeout=10,
            )
            assert told.status_code == 200
            assert told.json()["sub"] == one["subject"]

        # At the end the other app's rows go: what was not moved would have stayed.
        table = "socialaccount_socialaccount" if app == "allauth" else "social_auth_usersocialauth"
        assert site.rows(f"SELECT count(*) FROM {table}") == [(3,)]
        site.migrate_legacy("--provider", "demo", "--prune")
        assert site.rows(f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize("app", ["allauth", "social-auth"])
@pytest.mark.slow
def test_accounts_of_several_providers_need_a_name_and_keep_their_own(app, tmp_path):
    """Ids that are configured names mean those; of others, nobody guesses (I5, I19)."""
    site = Site(app, tmp_path)
    (tmp_path / "signing-key.pem").write_text(new_rsa_key())
    site.run("after", "django", "migrate", "--verbosity=0")
    if app == "allauth":
        columns, table = (
            "user_id, provider, uid, extra_data, last_login, date_joined",
            "socialaccount_socialaccount",
        )
        extra = "'2026-01-01', '2026-01-01'"
    else:
        columns, table = (
            "user_id, provider, uid, extra_data, id_key, created, modified",
            "social_auth_usersocialauth",
        )
        extra = "'', '2026-01-01', '2026-01-01'"
    accounts = [
        ("demo", "subject-1", "{}"),
        ("corporate", "subject-2", "{}"),
        ("github", "77", "{}"),
        ("demo", "ada@people.example", "{}"),
        ("demo", "subject-3", json.dumps({"iss": "https://elsewhere.example", "sub": "subject-3"})),
        ("demo", "taken", "{}"),
        ("demo", "x" * 256 if app == "social-auth" else "x" * 190, "{}"),
    ]  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "site.sqlite3")) as database, database:
        for number, (provider, uid, data) in enumerate(accounts, 1):
            database.execute(
                "INSERT INTO auth_user (id, username, password, is_superuser, is_staff, is_active, first_name,"
                " last_name, email, date_joined) VALUES (?, ?, '', 0, 0, 1, '', '', '', '2026-01-01')",
                [number, f"user{number}"],
            )
            database.execute(
                f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?, {extra})", [number, provider, uid, data]
            )
        # Somebody else has this subject already: it stays theirs (I5).
        database.execute(
            "INSERT INTO lazyauth_provideridentity (provider, subject, issuer, email, email_verified, name, sso_domain,"
            " sso_name, is_default, created_at, user_id) VALUES ('demo', 'taken', '', '', 0, '', '', '', 0,"
            " '2026-01-01', 2)"
        )
    report = site.migrate_legacy(status=1)
    assert report["reasons"]["identity_of_another_user"] == 1
    assert report["reasons"]["name_the_provider"] == 2
    assert report["reasons"]["subject_is_address"] == 1
    assert report["reasons"]["issuer_differs"] == 1
    linked = set(site.rows("SELECT provider, subject, user_id FROM lazyauth_provideridentity"))
    expected = {("demo", "subject-1", 1), ("demo", "taken", 2)}
    if app == "allauth":
        expected.add(("demo", "x" * 190, 7))
    else:
        assert report["reasons"]["malformed"] == 1
    assert linked == expected
    report = site.migrate_legacy("--provider", "demo", status=1)
    assert report["reasons"]["name_the_provider"] == 2
    assert set(site.rows("SELECT provider, subject, user_id FROM lazyauth_provideridentity")) == expected
