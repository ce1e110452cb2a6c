"""Rows that name a provider where a protocol is meant: no run claims them and no request reads them."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks

from django_lazyauth.models import LegacyUpstreamToken

from .rows import make_legacy, make_user, migrate
from .test_ready import ready


def warnings() -> list:
    found = run_checks(tags=["database"], databases=["default"])
    return [
        message for message in found if message.id != "lazyauth.W041"
    ]  # The suite may run behind PgBouncer.


@pytest.mark.django_db
def test_the_check_and_ready_count_the_rows_that_nobody_will_read(application):
    ada = make_user()
    for provider in ("github", "corp", "gone"):
        make_legacy(ada, application, provider=provider)
    answer = ready()
    assert (answer.status_code, answer.json()) == (
        200,
        {"ready": True, "waits_for": [], "left_behind": {"legacy_tokens": 3}},
    )
    [warning] = warnings()
    assert warning.id == "lazyauth.W072"
    assert warning.msg.startswith("3 legacy tokens")


@pytest.mark.django_db
def test_rows_that_wait_and_rows_that_are_left_are_told_apart(application):
    ada = make_user()
    make_legacy(ada, application)
    make_legacy(ada, application, provider="github")
    assert ready().json() == {"ready": False, "waits_for": ["legacy_tokens"]}
    assert [warning.id for warning in warnings()] == ["lazyauth.W070", "lazyauth.W072"]
    migrate()
    assert ready().json()["left_behind"] == {"legacy_tokens": 1}
    LegacyUpstreamToken.objects.all().delete()
    assert warnings() == []
