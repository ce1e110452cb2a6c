"""The end of a person's sessions against what goes on at that moment, on PostgreSQL (I11)."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import LogoutDelivery, UpstreamToken
from django_lazyauth.sessions import end
from tests.sessions.conftest import signed_in_at, wants_to_hear
from tests.support.journey import code_for, redeem

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

TRIALS = 20


@pytest.fixture(autouse=True)
def _postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("service: runs on PostgreSQL, LAZYAUTH_TEST_DATABASE=postgresql")


def together(*works):
    """Run each in a thread of its own, from the same moment on; return what they gave."""
    barrier, given, errors = threading.Barrier(len(works), timeout=30), {}, []

    def run(number, work):
        try:
            barrier.wait()
            given[number] = work()
        except Exception as error:  # noqa: BLE001 - told to the test.
            errors.append(repr(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return [given[number] for number in range(len(works))]


def live() -> int:
    return RefreshToken.objects.filter(revoked__isnull=True).count() + AccessToken.objects.count()


def test_an_exchange_under_way_does_not_outrun_the_end_of_all_sessions(ada):
    """I11: either the code was spent before and its tokens are dead, or it is not good any more."""
    user = get_user_model().objects.get()
    statuses = set()
    for _ in range(TRIALS):
        code = code_for(ada.client)
        answer, _ended = together(
            lambda code=code: redeem(ada.client, code), lambda: end.end_all_sessions(user)
        )
        statuses.add(answer.status_code)
        assert live() == 0
        assert not UpstreamToken.objects.exists()
    assert statuses <= {200, 400}


def test_a_refresh_under_way_does_not_outrun_the_end_of_all_sessions(trail):
    """I11."""
    for _ in range(TRIALS):
        ada = signed_in_at(trail)
        user = get_user_model().objects.get()
        together(ada.refresh, lambda user=user: end.end_all_sessions(user))
        assert live() == 0


def test_whoever_ends_it_first_the_client_is_told_once(trail, monkeypatch):
    """Four ends of one session at once: one row."""
    monkeypatch.setattr("django_lazyauth.sessions.logout_queue.send", lambda session_id: None)
    wants_to_hear(trail, "https://client.example/out")
    for trial in range(1, TRIALS + 1):
        ada = signed_in_at(trail)
        together(*[lambda sid=ada.sid: end.end_session(sid)] * 4)
        assert live() == 0
        assert LogoutDelivery.objects.count() == trial
