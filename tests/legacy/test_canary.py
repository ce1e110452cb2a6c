"""I13: recognisable tokens and people go through every source, and stand in no output, log, report or traceback."""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
from contextlib import closing

import pytest
from django.core.management import CommandError
from django.db import DatabaseError, connection

from django_lazyauth.legacy.report import Problem, Reason
from django_lazyauth.models import LegacyUpstreamToken
from example_project.environment import new_rsa_key
from tests.support.id_tokens import unsigned

from .rows import make_identity, make_legacy, make_user, migrate
from .test_other_apps import Site
from .test_redis import deployment  # noqa: F401

CANARY = "canary0"
#: What a row says of a person, all of it recognisable.
TOLD = {
    "access_token": f"{CANARY}-access",
    "refresh_token": f"{CANARY}-refresh",
    "id_token": unsigned(
        iss="https://login.corp.example", sub=f"{CANARY}-sub", email=f"{CANARY}@people.example"
    ),
    "subject": f"{CANARY}-subject",
}


@pytest.fixture
def watch(caplog):
    """Return what is seen of everything that was logged, with every attribute of each record."""
    caplog.set_level(logging.DEBUG)

    def seen(*texts: str) -> str:
        records = "".join(repr(vars(record)) for record in caplog.records)
        return "\n".join([*texts, caplog.text, records])

    return seen


def assert_clean(text: str) -> None:
    where = text.find(CANARY)
    assert where == -1, text[max(0, where - 80) : where + 40]


def bad_rows(user, client) -> None:
    """Write a row for every reason that a table can give."""
    for changes in (
        {},
        {"subject": ""},
        {"session_id": f"{CANARY}-session"},
        {"access_token": "", "refresh_token": ""},
        {"access_token": CANARY * 20_000},
        {"provider": "oauth2", "id_token": unsigned(iss=f"https://{CANARY}.example", sub=CANARY)},
        {"id_token": unsigned(iss=f"https://{CANARY}.example", sub=CANARY)},
        {"provider": f"{CANARY}-provider"},
    ):
        make_legacy(user, client, **TOLD | changes)


@pytest.mark.django_db
@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--prune"], ["--provider", "corp", "-v", "3"]])
def test_the_table(application, watch, as_json, arguments):
    person = make_user(CANARY, email=f"{CANARY}@people.example")
    make_identity(person, subject=f"{CANARY}-subject")
    make_identity(make_user("other"), "corp", subject=f"{CANARY}-subject")
    bad_rows(person, application)
    ran = migrate(*arguments, as_json=as_json)
    assert ran.status == 1
    assert_clean(watch(ran.out, ran.err))


@pytest.mark.services
@pytest.mark.django_db
@pytest.mark.parametrize("as_json", [True, False])
def test_redis(deployment, application, watch, as_json):  # noqa: F811 - the fixture
    person = make_user(CANARY)
    told = {name: value for name, value in TOLD.items() if name != "subject"} | {
        "upstream_subject": f"{CANARY}-subject"
    }
    for changes in (
        {},
        {"access_token": [CANARY]},
        {"expires_at": CANARY},
        {"user_id": CANARY},
        {"client_id": CANARY},
        {"provider_id": CANARY},
        {"id_token": unsigned(iss=f"https://{CANARY}.example", sub=CANARY)},
    ):
        deployment.put(person, application, **told | changes)
    deployment.write(f"{CANARY}-session", json.dumps({"access_token": CANARY}))
    deployment.write("corrupt", f"{{{CANARY}")
    ran = deployment.migrate(as_json=as_json)
    assert ran.status == 1
    assert_clean(watch(ran.out, ran.err))


@pytest.mark.django_db
def test_errors_of_the_database_the_cipher_and_their_tracebacks(application, watch, monkeypatch):
    """A database says which row it did not like, with all its values; a cipher may say what it was given."""
    person = make_user(CANARY)
    make_legacy(person, application, **TOLD)
    loud = DatabaseError(f"DETAIL: Key (subject)=({CANARY}) ... CONTEXT: COPY, line 1: {CANARY}")
    for place, error in {
        "django_lazyauth.legacy.bulk.insert_absent": loud,
        "django_lazyauth.legacy.bulk.read_back": loud,
        "django_lazyauth.vault.cipher.AesGcmCipher.seal": RuntimeError(CANARY),
        "django_lazyauth.legacy.sources.table.TableSource.retire": loud,
        "django_lazyauth.legacy.sources.table.TableSource.pages": loud,
        "django_lazyauth.legacy.identities.copy_all": loud,
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(place, raising(error))
            assert_clean(watch(traceback_of()))
    assert LegacyUpstreamToken.objects.count() == 1


def raising(error: Exception):
    def fail(*args, **kwargs):
        raise error

    return fail


def traceback_of() -> str:
    """Return everything that a run says, with the traceback that ``--traceback`` would print."""
    import io

    from django.core.management import call_command

    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("migrate_legacy_tokens", "--json", stdout=out, stderr=err)
    except CommandError as error:
        return "\n".join([out.getvalue(), err.getvalue(), *traceback.format_exception(error)])
    raise AssertionError("it should have failed")


@pytest.mark.django_db(transaction=True)
def test_a_row_that_the_database_really_refuses(application, watch, monkeypatch):
    from django_lazyauth.legacy import bulk

    make_legacy(make_user(CANARY), application, **TOLD)
    seal_row = bulk.seal_row

    def too_long(bundle, **kwargs):
        sealed = seal_row(bundle, **kwargs)
        sealed.row["subject"] = CANARY * 100 if connection.vendor != "sqlite" else None
        return sealed

    monkeypatch.setattr("django_lazyauth.legacy.bulk.seal_row", too_long)
    ran = migrate()
    assert ran.report["reasons"] == {"refused_by_the_database": 1}
    assert_clean(watch(ran.out, ran.err))


@pytest.mark.parametrize("app", ["allauth", "social-auth"])
@pytest.mark.slow
def test_other_apps(app, tmp_path):
    site = Site(app, tmp_path)
    (tmp_path / "signing-key.pem").write_text(new_rsa_key())
    site.run("after", "django", "migrate", "--verbosity=0")
    told = {
        "email": f"{CANARY}@people.example",
        "name": CANARY,
        "access_token": f"{CANARY}-access",
        "refresh_token": f"{CANARY}-refresh",
        "expires": 3600,
    }
    accounts = [
        ("demo", f"{CANARY}-1", told),
        ("demo", f"{CANARY}@people.example", told),
        (f"{CANARY}-provider", f"{CANARY}-2", told),
        ("demo", f"{CANARY}-3", told | {"iss": f"https://{CANARY}.example"}),
        ("demo", f"{CANARY}-4", told | {"sub": 7, "expires": CANARY}),
    ]
    with closing(sqlite3.connect(tmp_path / "site.sqlite3")) as database, database:
        for number, (provider, uid, extra) in enumerate(accounts, 1):
            database.execute(
                "INSERT INTO auth_user (id, username, password, is_superuser, is_staff, is_active, first_name,"
                " last_name, email, date_joined) VALUES (?, ?, '', 0, 0, 1, '', '', ?, '2026-01-01')",
                [number, f"{CANARY}{number}", f"{CANARY}@people.example"],
            )
            row = [number, provider, uid, json.dumps(extra)]
            if app == "allauth":
                database.execute(
                    "INSERT INTO socialaccount_socialaccount (user_id, provider, uid, extra_data, last_login,"
                    " date_joined) VALUES (?, ?, ?, ?, '2026-01-01', '2026-01-01')",
                    row,
                )
                database.execute(
                    "INSERT INTO socialaccount_socialtoken (account_id, token, token_secret) VALUES (?, ?, ?)",
                    [number, f"{CANARY}-access" * (20_000 if number == 1 else 1), f"{CANARY}-refresh"],
                )
            else:
                database.execute(
                    "INSERT INTO social_auth_usersocialauth (user_id, provider, uid, extra_data, id_key, created,"
                    " modified) VALUES (?, ?, ?, ?, '', '2026-01-01', '2026-01-01')",
                    row,
                )
    for arguments in (["--json"], [], ["--traceback", "-v", "3", "--prune"]):
        done = site.run("after", "django", "migrate_legacy_tokens", "--source", app, *arguments, status=1)
        assert "subject_is_address" in done.stdout + done.stderr or "--traceback" in arguments
        assert_clean(done.stdout + done.stderr)
    columns = site.rows("SELECT access_token, refresh_token, id_token FROM lazyauth_upstreamtoken")
    assert_clean(repr(columns))


@pytest.mark.django_db
def test_rows_and_problems_show_nothing_of_themselves(application):
    from django_lazyauth.legacy.source import Models
    from django_lazyauth.legacy.sources.table import TableSource

    old = make_legacy(make_user(CANARY), application, **TOLD)
    source = TableSource(Models.of())
    (row,) = source.read([old.pk], lock=False)
    assert_clean(repr(row) + str(row) + repr(Problem.of(f"upstream:{CANARY}", Reason.MALFORMED)))
    assert_clean(repr(old) + str(old))


@pytest.mark.django_db
def test_the_watch_would_see_a_leak(watch):
    logging.getLogger("django_lazyauth.migration").info("nothing", extra={"subject": CANARY})
    with pytest.raises(AssertionError):
        assert_clean(watch())
