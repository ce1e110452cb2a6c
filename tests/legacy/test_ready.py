"""While legacy rows wait, the system check and the readiness endpoint say so."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test import Client

from .conftest import CORP, OTHER
from .rows import make_identity, make_legacy, make_user, migrate

pytestmark = pytest.mark.django_db


def ready(**kwargs):
    return Client().get("/ready", secure=True, **kwargs)


def warnings(**kwargs) -> list[str]:
    found = [message.id for message in run_checks(tags=["database"], **kwargs)]
    return [
        check_id for check_id in found if check_id != "lazyauth.W041"
    ]  # The suite may run behind PgBouncer.


def test_an_empty_site_is_ready():
    answer = ready()
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "waits_for": []})
    assert "no-store" in answer.headers["Cache-Control"]
    assert warnings(databases=["default"]) == []


def test_tokens_that_wait_are_said_until_they_moved(application):
    make_legacy(make_user(), application)
    answer = ready()
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "waits_for": ["legacy_tokens"]})
    assert warnings(databases=["default"]) == ["lazyauth.W070"]
    migrate()
    assert ready().status_code == 200
    assert warnings(databases=["default"]) == []


def test_identities_that_wait_are_said_until_they_have_their_twins():
    make_identity(make_user())
    assert ready().json()["waits_for"] == ["legacy_identities"]
    assert warnings(databases=["default"]) == ["lazyauth.W071"]
    migrate()
    assert ready().status_code == 200
    migrate("--prune")
    assert ready().status_code == 200


def test_identities_of_a_type_that_two_providers_have_wait_for_either(lazyauth):
    lazyauth(PROVIDERS={"corp": CORP, "other": OTHER})
    make_identity(make_user())
    assert ready().status_code == 503
    migrate("--provider", "other")
    assert ready().status_code == 200


def test_rows_that_cannot_move_keep_the_site_from_being_ready(application):
    make_legacy(make_user(), application, subject="")
    migrate()
    assert ready().status_code == 503


def test_rows_that_nobody_claims_do_not(application):
    make_legacy(make_user(), application, provider="github")
    assert ready().status_code == 200


def test_the_check_asks_no_database_unless_it_may(application, django_assert_num_queries):
    make_legacy(make_user(), application)
    with django_assert_num_queries(0):
        assert warnings(databases=[]) == []


@pytest.mark.django_db(transaction=True)
def test_the_check_is_silent_where_there_is_no_table_yet():
    rename("lazyauth_legacyupstreamtoken", "lazyauth_elsewhere")
    try:
        assert warnings(databases=["default"]) == []
        assert ready().json() == {"ready": False, "waits_for": ["database"]}
    finally:
        rename("lazyauth_elsewhere", "lazyauth_legacyupstreamtoken")


def rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_the_answer_names_nobody(application):
    make_legacy(make_user("canary"), application, subject="canary", access_token="canary")
    assert b"canary" not in ready().content


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_only_reading_is_allowed(method):
    assert getattr(Client(enforce_csrf_checks=True), method)("/ready", secure=True).status_code == 405


def test_head_and_a_slash_work_too():
    assert Client().head("/ready", secure=True).status_code == 200
    assert Client().get("/ready/", secure=True).status_code == 200


def test_a_settled_site_is_not_searched_on_each_call(django_assert_num_queries):
    """Anybody may call it: what takes a look at every identity is asked once a minute."""
    ada = make_user()
    make_identity(ada)
    migrate()
    assert ready().status_code == 200
    with django_assert_num_queries(1):
        assert ready().status_code == 200


def test_without_its_cache_it_answers_all_the_same(settings, application):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    assert ready().status_code == 200
    make_legacy(make_user(), application)
    assert ready().status_code == 503


def test_it_costs_a_few_queries_however_many_rows_there_are(application, django_assert_max_num_queries):
    ada = make_user()
    for _ in range(20):
        make_legacy(ada, application)
    with django_assert_max_num_queries(3):
        ready()
