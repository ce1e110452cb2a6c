"""``GET /sessions`` and ``DELETE /sessions/{id}``: a person's own, in their own browser."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from oauth2_provider.models import RefreshToken, get_application_model

from tests.api.test_sso_and_identities import CSRF, send, sign_in
from tests.sessions.conftest import signed_in_at
from tests.support.journey import get, make_browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(ada):
    return sign_in(get_user_model().objects.get())


def listed(browser):
    answer = get(browser, "/sessions")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()["sessions"]


def delete(browser, session_id, **headers):
    return send(browser, f"/sessions/{session_id}", method="delete", **(headers or CSRF))


def test_each_session_says_where_by_whom_since_and_until_when(browser, ada):
    (session,) = listed(browser)
    assert session["id"] == ada.sid
    assert session["client"] == {"client_id": "trail", "name": "Trail Journal", "is_verified": True}
    assert session["provider"] == "demo"
    since = datetime.fromisoformat(session["since"])
    assert timedelta(0) <= timezone.now() - since < timedelta(minutes=1)
    assert set(session) == {"id", "client", "provider", "since", "last_used_at"}


def test_a_refresh_is_a_use_and_writes_nothing_besides(browser, ada):
    RefreshToken.objects.update(created=timezone.now() - timedelta(days=2))
    before = listed(browser)[0]["last_used_at"]
    assert ada.userinfo().status_code == 200
    assert listed(browser)[0]["last_used_at"] == before
    assert ada.refresh().status_code == 200
    assert datetime.fromisoformat(listed(browser)[0]["last_used_at"]) > timezone.now() - timedelta(minutes=1)
    assert len(listed(browser)) == 1


def test_the_one_that_was_used_last_comes_first(browser, ada, maps):
    signed_in_at(maps)
    assert [session["client"]["client_id"] for session in listed(browser)] == ["maps", "trail"]
    ada.refresh()
    assert [session["client"]["client_id"] for session in listed(browser)] == ["trail", "maps"]


def test_it_costs_as_much_for_many_sessions_as_for_one(browser, ada, maps, django_assert_num_queries):
    def count():
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            listed(browser)
        return len(queries)

    one = count()
    for _ in range(4):
        signed_in_at(maps)
    assert count() == one


def test_what_is_over_is_not_listed(browser, ada, maps):
    for days in (15, 91):
        RefreshToken.objects.update(created=timezone.now() - timedelta(days=days))
        assert listed(browser) == []


def test_nobody_elses_are_listed(browser, ada, trail):
    signed_in_at(trail, subject="grace")
    assert [session["id"] for session in listed(browser)] == [ada.sid]


def test_one_that_a_stranger_registered_is_unverified(browser, ada):
    get_application_model().objects.update(registration_source="dcr")
    assert listed(browser)[0]["client"]["is_verified"] is False


def test_ending_one_kills_its_tokens(browser, ada, maps):
    other = signed_in_at(maps)
    assert delete(browser, ada.sid).status_code == 204
    assert not ada.is_alive()
    assert other.is_alive()
    assert delete(browser, ada.sid).status_code == 404


def test_somebody_elses_is_not_found(browser, ada, trail):
    grace = signed_in_at(trail, subject="grace")
    answers = [delete(browser, session_id) for session_id in (grace.sid, uuid4())]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (404, {"state": "rejected", "reason": "not_found"})
    ] * 2
    assert grace.is_alive()


def test_a_session_that_is_no_uuid_is_not_found(browser):
    assert delete(browser, "x").status_code == 404
    assert delete(browser, "%00").status_code == 404


def test_a_token_is_no_session(ada):
    """No client sees, or ends, what a person does at others."""
    headers = {"authorization": f"Bearer {ada.tokens['access_token']}"}
    assert get(make_browser(), "/sessions", headers=headers).status_code in {401, 403}
    answer = make_browser().delete(f"/sessions/{ada.sid}", secure=True, headers=headers)
    assert answer.status_code in {401, 403}
    assert ada.is_alive()


def test_another_sites_request_is_refused(browser, ada):
    assert send(browser, f"/sessions/{ada.sid}", method="delete").status_code == 403
    assert ada.is_alive()


def test_the_schema_describes_it():
    from django_lazyauth.api import openapi  # noqa: F401 - describes the views

    with GENERATOR_STATS.silence():
        schema = SchemaGenerator().get_schema(request=None, public=True)
        assert not GENERATOR_STATS
    validate_schema(schema)
    assert "get" in schema["paths"]["/sessions"]
    assert "delete" in schema["paths"]["/sessions/{session_id}"]
