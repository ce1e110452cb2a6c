"""The row of a provider says how the last sign-ins went, and a sign-in seldom writes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_lazyauth.models import ProviderKeySet
from tests.support.faults import Fault, injected
from tests.support.journey import code_for, make_browser, start

from .conftest import go_upstream, sign_in_upstream

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = ProviderKeySet._meta.db_table


def row(provider="acme") -> ProviderKeySet:
    return ProviderKeySet.objects.get(pk=provider)


def fail(upstream, client_, **levers):
    browser = make_browser()
    return go_upstream(upstream, browser, start(browser, client_, provider="acme"), **levers)


def writes(captured) -> list[str]:
    statements = [query["sql"] for query in captured.captured_queries]
    return [sql for sql in statements if TABLE in sql and not sql.startswith("SELECT")]


def test_a_sign_in_is_noted_once_a_minute(upstream, client_):
    sign_in_upstream(upstream, client_)
    noted = row().signed_in_at
    assert timezone.now() - noted < timedelta(seconds=30)
    with CaptureQueriesContext(connection) as captured:
        sign_in_upstream(upstream, client_)
    assert writes(captured) == []
    ProviderKeySet.objects.update(signed_in_at=timezone.now() - timedelta(seconds=61))
    with CaptureQueriesContext(connection) as captured:
        sign_in_upstream(upstream, client_)
    assert len(writes(captured)) == 1
    assert row().signed_in_at > noted
    assert (row().failed_at, row().failure) == (None, "")


def test_a_change_is_noted_at_once(upstream, client_):
    sign_in_upstream(upstream, client_)
    for levers, words in (
        ({"token_answers": ["500"]}, "down: bad_answer"),
        ({"token_answers": ["invalid_grant"]}, "refused: code_refused"),
        ({"authorize_error": "invalid_scope"}, "misconfigured"),
    ):
        fail(upstream, client_, **levers)
        assert row().failure == words
        upstream.control(reset=True)
    assert row().failed_at > row().signed_in_at
    with CaptureQueriesContext(connection) as captured:
        fail(upstream, client_, authorize_error="invalid_scope")
    assert writes(captured) == []
    upstream.control(reset=True)
    sign_in_upstream(upstream, client_)
    assert row().signed_in_at > row().failed_at
    assert row().failure == "misconfigured"


def test_a_person_who_cancelled_is_no_news_of_the_provider(upstream, client_):
    fail(upstream, client_, authorize_error="access_denied")
    fail(upstream, client_, authorize_error="login_required")
    assert (row().failed_at, row().failure) == (None, "")


def test_a_provider_without_keys_gets_a_row(upstream, client_, settings):
    settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.oauth2_config()
    sign_in_upstream(upstream, client_)
    assert row().signed_in_at is not None
    assert (row().issuer, row().jwks, row().fetched_at) == ("", {}, None)


def test_nothing_is_kept_of_a_domain(client_, settings):
    """Its name comes from a stranger, and a row for each would never end."""
    settings.LAZYAUTH["SSO_DOMAINS"] = {"acme.example": {"discovery_url": "https://acme.example/sso"}}
    page = start(make_browser(), client_, provider="sso:acme.example")
    assert page.status_code in (200, 303)
    assert not ProviderKeySet.objects.exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_note_that_cannot_be_written_fails_no_sign_in(client_, caplog, when):
    fault = Fault(1, when=when, of=lambda sql: TABLE in sql, lasting=True, cuts=True)
    with injected(fault):
        assert code_for(client_)
    assert fault.fired
    assert "demo: how a sign-in went was not noted" in caplog.text
    assert not ProviderKeySet.objects.filter(signed_in_at__isnull=False).exists() or when == "after"


def test_a_provider_whose_row_was_written_before_another_process_did_is_written_once(upstream, client_):
    """Of processes that read the same row one writes: the UPDATE names the time that was read."""
    sign_in_upstream(upstream, client_)
    old = timezone.now() - timedelta(minutes=5)
    ProviderKeySet.objects.update(signed_in_at=old)
    with CaptureQueriesContext(connection) as captured:
        sign_in_upstream(upstream, client_)
    [sql] = writes(captured)
    assert '"signed_in_at" = ' in sql.partition("WHERE")[2].replace("`", '"')
