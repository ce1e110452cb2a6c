"""An account moves under the key that our sign-in will use, or it stays and the report says why (I5)."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from django_lazyauth.legacy.report import MigrationStopped
from django_lazyauth.legacy.sources.subjects import SubjectRules
from example_project.environment import new_rsa_key
from tests.legacy.test_other_apps import Site


class Wider(Site):
    """The site with more providers of ours."""

    def env(self, stage):
        return super().env(stage) | {"OLD_SITE_MORE": "1"}


def site_with(app, tmp_path, accounts):
    """Return a site of *app* whose users have *accounts*: provider id, account id, stored claims, ``id_key``."""
    site = Wider(app, tmp_path)
    (tmp_path / "signing-key.pem").write_text(new_rsa_key())
    site.run("after", "django", "migrate", "--verbosity=0")
    with closing(sqlite3.connect(tmp_path / "site.sqlite3")) as database, database:
        for number, (provider, uid, claims, id_key) in enumerate(accounts, 1):
            database.execute(
                "INSERT INTO auth_user (id, username, password, is_superuser, is_staff, is_active, first_name,"
                " last_name, email, date_joined) VALUES (?, ?, '', 0, 0, 1, '', '', '', '2026-01-01')",
                [number, f"user{number}"],
            )
            row = [number, provider, uid, json.dumps(claims)]
            if app == "allauth":
                database.execute(
                    "INSERT INTO socialaccount_socialaccount (user_id, provider, uid, extra_data, last_login,"
                    " date_joined) VALUES (?, ?, ?, ?, '2026-01-01', '2026-01-01')",
                    row,
                )
            else:
                database.execute(
                    "INSERT INTO social_auth_usersocialauth (user_id, provider, uid, extra_data, id_key, created,"
                    " modified) VALUES (?, ?, ?, ?, ?, '2026-01-01', '2026-01-01')",
                    [*row, id_key],
                )
    return site


def linked(site):
    return set(site.rows("SELECT provider, subject FROM lazyauth_provideridentity"))


GRAPH = {"id": "graph-id", "userPrincipalName": "ada@corp.example", "displayName": "Ada"}


@pytest.mark.slow
def test_accounts_of_allauth_move_under_our_key_or_not_at_all(tmp_path):
    """django-allauth knows people of Microsoft by the id of Graph, and OpenID Connect by ``sub``."""
    site = site_with(
        "allauth",
        tmp_path,
        [
            ("microsoft", "graph-id", GRAPH, ""),
            ("google", "g-1", {}, ""),
            ("google", "g-2", {"id": "g-2"}, ""),
            ("github", "77", {"id": 77, "login": "ada"}, ""),
            ("discord", "88", {"id": "88"}, ""),
            ("demo", "d-1", {"userinfo": {"sub": "d-1"}}, ""),
        ],
    )
    report = site.migrate_legacy(status=1)
    assert report["reasons"] == {"name_the_subject": 1}
    moved = {("google", "g-1"), ("google", "g-2"), ("github", "77"), ("discord", "88"), ("demo", "d-1")}
    assert linked(site) == moved
    # Nothing that was refused is deleted.
    site.migrate_legacy("--prune", status=1)
    assert site.rows("SELECT provider FROM socialaccount_socialaccount") == [("microsoft",)]
    refused = site.migrate_legacy("--subject", "microsoft=oid", status=1)
    assert refused["reasons"] == {"name_the_subject": 1}
    assert site.migrate_legacy("--subject", "microsoft=uid")["failed"] == 0
    assert linked(site) == moved | {("microsoft", "graph-id")}


@pytest.mark.slow
def test_accounts_of_social_auth_move_under_our_key_or_not_at_all(tmp_path):
    """python-social-auth tells which claim its account id is, or the backend's name does."""
    site = site_with(
        "social-auth",
        tmp_path,
        [
            ("microsoft-graph", "graph-id", {"id": "graph-id"}, ""),
            ("microsoft-graph", "other-id", {}, "id"),
            ("keycloak", "ada", {}, ""),
            ("keycloak", "grace", {"sub": "k-2"}, "username"),
            ("demo", "d-1", {}, "sub"),
            ("demo", "d-2", {}, "preferred_username"),
            ("demo", "d-3", {}, ""),
            ("github", "77", {"id": 77}, ""),
        ],
    )
    report = site.migrate_legacy(status=1)
    assert report["reasons"] == {"name_the_subject": 4}
    assert linked(site) == {("keycloak", "k-2"), ("demo", "d-1"), ("demo", "d-3"), ("github", "77")}


@pytest.mark.parametrize(
    "options", [["a=b=c"], [""], ["="], ["microsoft="], ["a=b", "a=c"], ["b", "c"], ["a b"]]
)
def test_a_rule_that_cannot_be_meant_stops_the_run(options):
    with pytest.raises(MigrationStopped):
        SubjectRules.parse(options)


def test_a_rule_for_a_provider_goes_before_the_one_for_all():
    rules = SubjectRules.parse(["oid", "microsoft=uid"])
    assert (rules.of("microsoft"), rules.of("corp")) == ("uid", "oid")
