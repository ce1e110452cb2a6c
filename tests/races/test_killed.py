"""The process dies, or its connection does, in the middle of an exchange: no half user, and the next try heals."""

from __future__ import annotations

import itertools

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from django_lazyauth.models import DeferredRegistration, PendingAuthorization, Status
from tests.races.rows import NOTHING, assert_nothing_lives, each, rows
from tests.support.journey import code_for, redeem
from tests.support.processes import redemption_in_a_process

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def test_i3_a_process_killed_before_commit_leaves_nothing_and_the_code_is_good(client_):
    """I3: everything was written, nothing was committed."""
    code = code_for(client_)
    with redemption_in_a_process(client_, code, stop="before_commit") as process:
        process.wait_until_it_stands()
        assert rows() == NOTHING
        process.kill()
    assert rows() == NOTHING
    pending = PendingAuthorization.objects.get()
    assert (pending.status, pending.failed_attempts) == (Status.CODE_ISSUED, 0)
    assert DeferredRegistration.objects.filter(pending=pending).exists()
    assert redeem(client_, code).status_code == 200
    assert rows() == each(1)


def test_i3_a_process_killed_after_commit_leaves_a_whole_user_who_signs_in_again(client_):
    """I3, I2: the client never heard of its tokens; when it tries the code again, they end."""
    code = code_for(client_)
    with redemption_in_a_process(client_, code, stop="after_commit") as process:
        process.wait_until_it_stands()
        process.kill()
    assert rows() == each(1)
    first = PendingAuthorization.objects.get()
    assert first.status == Status.EXCHANGED
    retry = redeem(client_, code)
    assert (retry.status_code, retry.json()["error"]) == (400, "invalid_grant")
    assert_nothing_lives(first.session_id)
    user = get_user_model().objects.get()
    assert redeem(client_, code_for(client_)).status_code == 200
    assert get_user_model().objects.get() == user
    assert rows()["identities"] == rows()["vault"] == rows()["access"] == 1


class Disconnect:
    """An execute wrapper: before the *n*-th statement the server ends this connection."""

    def __init__(self, n):
        self.n, self.seen = n, 0

    @property
    def fired(self):
        return self.seen >= self.n

    def __call__(self, execute, sql, params, many, context):
        self.seen += 1
        if self.seen == self.n:
            end_connection(connection.connection.info.backend_pid)
        return execute(sql, params, many, context)


def end_connection(pid):
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        other.close()


def test_i3_a_connection_lost_at_any_statement_writes_nothing_and_the_code_is_good(client_):
    """I3: the server ends the connection before each statement of the exchange in turn."""
    for n in itertools.count(1):
        code = code_for(client_, subject=f"person{n}")
        disconnect = Disconnect(n)
        with connection.execute_wrapper(disconnect):
            answer = redeem(client_, code)
        if not disconnect.fired:
            assert answer.status_code == 200
            break
        assert answer.status_code == 503
        assert answer.json() == {"error": "temporarily_unavailable"}
        assert rows() == each(n - 1)
        assert redeem(client_, code).status_code == 200
        assert rows() == each(n)
    assert n > 5
