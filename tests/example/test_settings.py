"""The example site's settings: what comes from outside is read as written, and production trusts no default."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django
import pytest
from django.core.exceptions import ImproperlyConfigured

from example_project import environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMES = "postgres, postgresql, mysql, sqlite"


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the site in an environment of nothing but *variables*."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def production() -> dict[str, str]:
    key = environment.new_rsa_key()
    return {
        "DJANGO_SETTINGS_MODULE": "example_project.settings_production",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "LAZYAUTH_ISSUER": "https://auth.example/",
        "LAZYAUTH_SIGNING_KEYS": key.replace("\n", "\\n"),
        "LAZYAUTH_VAULT_KEYS": "first:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "LAZYAUTH_PROVIDERS": json.dumps(
            {"corp": {"issuer": "https://login.corp.example", "client_id": "site", "client_secret": "s" * 40}}
        ),
        "DATABASE_URL": "postgres://site:p%40ss@db.example:5433/site?sslmode=require",
        "REDIS_URL": "redis://cache.example:6379/0",
        "EMAIL_URL": "smtp+tls://site:secret@mail.example",
        "DEFAULT_FROM_EMAIL": "sign-in@auth.example",
    }


def test_production_starts_with_everything_and_passes_every_deployment_check(production):
    """Django's checks, the toolkit's (RFC 9700) and ours; warnings count."""
    checked = manage("check", "--deploy", "--fail-level=WARNING", **production)
    assert checked.returncode == 0, checked.stderr


def test_production_names_all_that_is_missing_at_once():
    started = manage("check", DJANGO_SETTINGS_MODULE="example_project.settings_production")
    assert started.returncode != 0
    for name in ("SECRET_KEY", "LAZYAUTH_ISSUER", "LAZYAUTH_VAULT_KEYS", "DATABASE_URL", "REDIS_URL"):
        assert name in started.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAZYAUTH_PROVIDERS", "corp"),
        ("LAZYAUTH_PROVIDERS", "[]"),
        ("DATABASE_URL", "oracle://db.example/site"),
        ("EMAIL_URL", "mail.example"),
        ("NUM_PROXIES", "-1"),
    ],
)
def test_production_refuses_what_it_cannot_read(production, name, value):
    started = manage("check", **{**production, name: value})
    assert started.returncode != 0
    assert f"ImproperlyConfigured: {name}" in started.stderr


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    """As container platforms mount them."""
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret"))
    assert environment.value("SECRET_KEY") == "from the file"


def test_development_starts_with_nothing_and_keeps_its_keys_to_itself(tmp_path):
    first, second = (manage("check", SITE_VAR_DIR=str(tmp_path)) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr
    kept = sorted(path for path in tmp_path.iterdir() if path.name.startswith("dev-"))
    assert [path.name for path in kept] == ["dev-secret-key", "dev-signing-key.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def test_of_processes_that_start_together_one_makes_the_key(tmp_path):
    path = tmp_path / "new" / "key"
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: environment.kept(path, environment.new_secret_key), range(32)))
    assert len(set(read)) == 1
    assert [found.name for found in path.parent.iterdir()] == ["key"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://me:p%40ss@db.example:5433/site?sslmode=require",
            {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "site",
                "HOST": "db.example",
                "PORT": 5433,
                "USER": "me",
                "PASSWORD": "p@ss",
                "OPTIONS": {"sslmode": "require"},
            },
        ),
        ("postgresql://me@%2Frun%2Fpg/site", {"HOST": "/run/pg", "PORT": "", "PASSWORD": ""}),
        ("mysql://me@db.example/site", {"ENGINE": "django.db.backends.mysql", "NAME": "site"}),
    ],
)
def test_a_database_url_says_where_the_database_is(tmp_path, url, expected):
    found = environment.database(url, tmp_path)
    assert {name: found[name] for name in expected} == expected


def test_a_sqlite_url_is_a_file_below_the_site_or_an_absolute_one(tmp_path):
    below = environment.database("sqlite:///here/site.sqlite3", tmp_path)
    assert below["NAME"] == str(tmp_path / "here" / "site.sqlite3")
    assert below["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    odd = tmp_path / "50% off?" / "site.sqlite3"
    assert environment.database(environment.sqlite_url(odd), Path("elsewhere"))["NAME"] == str(odd)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("oracle://db.example/site", SCHEMES),
        ("", SCHEMES),
        ("postgres://db.example", "names no database"),
        ("postgres://db.example:99999/site", "port"),
    ],
)
def test_a_database_url_that_says_nothing_is_refused(tmp_path, url, complaint):
    with pytest.raises(ImproperlyConfigured, match=complaint):
        environment.database(url, tmp_path)


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp://mail.example", 25, False, False),
        ("smtp+tls://mail.example", 587, True, False),
        ("smtps://mail.example:4650", 4650, False, True),
    ],
)
def test_a_mail_url_says_how_mail_leaves(url, port, tls, ssl):
    found = environment.mail(url)
    if django.VERSION >= (6, 1):
        options = found["MAILERS"]["default"]["OPTIONS"]
        assert (options["port"], options["use_tls"], options["use_ssl"]) == (port, tls, ssl)
    else:
        assert (found["EMAIL_PORT"], found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (port, tls, ssl)


def test_keys_stand_one_after_the_other():
    keys = [environment.new_rsa_key(), environment.new_rsa_key()]
    assert environment.pem_keys("\n".join(keys)) == keys
    assert environment.pem_keys("".join(keys).replace("\n", "\\n")) == keys
    assert environment.pem_keys("") == []


def test_a_flag_is_yes_or_no(monkeypatch):
    monkeypatch.setenv("DEBUG", "off")
    assert environment.flag("DEBUG", default=True) is False
    monkeypatch.setenv("DEBUG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        environment.flag("DEBUG", default=True)
