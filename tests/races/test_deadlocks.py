"""The end of a session meets the deletion of its person, and each waits for what the other has locked (I2, I18)."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import UpstreamGrant
from tests.support.journey import code_for, redeem
from tests.support.processes import PATIENCE, together, until

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def look_for_deadlocks_after(time):
    with connection.cursor() as cursor:
        cursor.execute(f"SET deadlock_timeout = '{time}'")


def test_i2_a_replay_that_a_deletion_deadlocks_with_is_refused_like_any_other(client_, lazyauth, waiting):
    """The replay holds the refresh tokens and wants the grant of the upstream; the deletion holds that one first."""
    demo = {"class": "tests.support.providers.RefreshingProvider"}
    lazyauth(PROVIDERS={"demo": demo, "other": demo})
    code = code_for(client_, subject="ada")
    assert redeem(client_, code).status_code == 200
    user, holds_tokens, conflicts = get_user_model().objects.get(), threading.Event(), []

    def meet(execute, sql, params, many, context):
        if not holds_tokens.is_set() and sql.startswith("UPDATE") and UpstreamGrant._meta.db_table in sql:
            holds_tokens.set()
            until(lambda: waiting() == 1)
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            conflicts.append(error.__cause__.sqlstate)
            raise

    def replay():
        look_for_deadlocks_after("50ms")
        with connection.execute_wrapper(meet):
            return redeem(client_, code)

    def delete():
        # Never: so the other one is aborted.
        look_for_deadlocks_after("1h")
        assert holds_tokens.wait(PATIENCE)
        user.delete()

    answer, _deleted = together(replay, delete)
    assert conflicts == ["40P01"]
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
    assert not AccessToken.objects.exists()
    assert not RefreshToken.objects.exists()
    assert not get_user_model().objects.exists()
