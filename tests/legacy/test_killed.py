"""Killed at any moment and run again, two at once, people signing in meanwhile: no duplicate, no loss."""

from __future__ import annotations

import json
import random
import threading
import time
from uuid import UUID

import pytest
from django.db import OperationalError, connections

from django_lazyauth.models import LegacyUpstreamToken, ProviderIdentity, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.vault import store
from tests.support.processes import until
from tests.support.racers import racer

from .rows import bundle_of, make_identity, make_user, migrate
from .test_redis import URL, deployment  # noqa: F401

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

ROWS = 400
TRIALS = 20


def fill(user, client, count: int = ROWS) -> list[UUID]:
    """Write *count* rows in one statement; return their sessions."""
    sessions = [uuid7() for _ in range(count)]
    LegacyUpstreamToken.objects.bulk_create(
        LegacyUpstreamToken(
            session_id=str(session),
            provider="oidc",
            user=user,
            client=client,
            subject="ada",
            access_token=f"access-{session}",
            refresh_token=f"refresh-{session}",
        )
        for session in sessions
    )
    return sessions


def waiting() -> set[UUID]:
    return {UUID(session) for session in LegacyUpstreamToken.objects.values_list("session_id", flat=True)}


def arrived() -> list[UUID]:
    return list(UpstreamToken.objects.values_list("session_id", flat=True))


def kill_somewhere(*arguments: str) -> None:
    """Run the command in a process, and take it away at a random moment between its first row and its last."""
    rows, little = random.randrange(ROWS), random.uniform(0, 0.01)
    with racer(work="migrate", arguments=arguments) as process:
        process.go()
        until(lambda: UpstreamToken.objects.count() >= rows)
        time.sleep(little)
    # The end of the block was its SIGKILL.


def test_a_table_that_is_killed_at_twenty_moments_loses_nothing(application):
    """Each session is in one of the two tables at every moment, and never in both."""
    ada = make_user()
    make_identity(ada, subject="ada")
    halfway = 0
    for _ in range(TRIALS):
        UpstreamToken.objects.all().delete()
        ProviderIdentity.objects.filter(provider="corp").delete()
        sessions = set(fill(ada, application))
        kill_somewhere("--batch-size", "10")
        left, there = waiting(), arrived()
        assert len(there) == len(set(there))
        assert left | set(there) == sessions
        assert not left & set(there)
        halfway += bool(left) and bool(there)
        ran = migrate("--batch-size", "100")
        assert (ran.status, ran.report["moved"]) == (0, len(left))
        assert sorted(arrived()) == sorted(sessions)
        assert ProviderIdentity.objects.filter(provider="corp", user=ada).count() == 1
        assert bundle_of(random.choice(sorted(sessions))).user_id == ada.pk
    assert halfway >= TRIALS // 2


def test_keys_that_are_killed_at_twenty_moments_are_not_lost(deployment, application):  # noqa: F811 - the fixture
    """A key goes only after its row has come; both may be there for a moment, neither never."""
    ada = make_user()
    arguments = ("--source", "redis", "--url", URL, "--prefix", deployment.prefix, "--batch-size", "10")

    def put() -> set[UUID]:
        pipeline, sessions = deployment.server.pipeline(transaction=False), [uuid7() for _ in range(ROWS)]
        for session in sessions:
            pipeline.set(
                deployment.key(session), json.dumps(deployment.value(session, ada, application)), ex=5000
            )
        pipeline.execute()
        return set(sessions)

    halfway = 0
    for _ in range(TRIALS):
        UpstreamToken.objects.all().delete()
        sessions = put()
        kill_somewhere(*arguments)
        left, there = {UUID(key.rpartition(":")[2]) for key in deployment.names()}, arrived()
        assert len(there) == len(set(there))
        assert left | set(there) == sessions
        halfway += bool(left) and bool(there)
        assert deployment.migrate("--batch-size", "100").status == 0
        assert sorted(arrived()) == sorted(sessions)
        assert deployment.names() == set()
    assert halfway >= TRIALS // 2


def test_two_at_once_move_each_row_once(application):
    sessions = fill(make_user(), application, 1500)
    with (
        racer(work="migrate", arguments=["--batch-size", "20"]) as one,
        racer(work="migrate", arguments=["--batch-size", "20"]) as two,
    ):
        one.go()
        two.go()
        reports = [one.result(), two.result()]
    assert sum(report["moved"] for report in reports) == len(sessions)
    assert [report["failed"] for report in reports] == [0, 0]
    assert sorted(arrived()) == sorted(sessions)
    assert not waiting()


def test_two_at_once_without_a_lock_are_as_safe(application, monkeypatch):
    """The lock spares work; what keeps rows single are the unique key and the insert that leaves alone."""
    sessions = fill(make_user(), application, 600)
    with racer(work="migrate", arguments=["--batch-size", "10"]) as other:
        from contextlib import nullcontext

        monkeypatch.setattr(
            "django_lazyauth.legacy.migrate.one_at_a_time", lambda *args, **kwargs: nullcontext()
        )
        other.go()
        mine = migrate("--batch-size", "10")
        theirs = other.result()
    assert mine.status == 0
    assert mine.report["moved"] + theirs["moved"] == len(sessions)
    assert sorted(arrived()) == sorted(sessions)
    assert not waiting()


def test_two_at_once_over_redis_move_each_key_once(deployment, application):  # noqa: F811 - the fixture
    ada = make_user()
    sessions = [deployment.put(ada, application) for _ in range(600)]
    arguments = ["--source", "redis", "--url", URL, "--prefix", deployment.prefix, "--batch-size", "10"]
    with racer(work="migrate", arguments=arguments) as one, racer(work="migrate", arguments=arguments) as two:
        one.go()
        two.go()
        reports = [one.result(), two.result()]
    assert sum(report["moved"] for report in reports) == len(sessions)
    assert [report["failed"] for report in reports] == [0, 0]
    assert sorted(arrived()) == sorted(sessions)
    assert deployment.names() == set()


def test_a_second_run_waits_for_the_first_and_says_so(application, monkeypatch):
    from django_lazyauth.legacy.lock import one_at_a_time

    fill(make_user(), application, 3)
    held, told = threading.Event(), []

    def hold():
        with one_at_a_time("default", waiting=lambda: None):
            held.set()
            time.sleep(1.2)
            told.append(len(arrived()))
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    ran = migrate()
    holder.join()
    assert told == [0]
    assert "waiting" in ran.err
    assert ran.report["moved"] == 3


def test_who_signs_in_meanwhile_keeps_the_newer_tokens(application):
    """The newer row wins, whichever of the two comes first."""
    ada = make_user()
    sessions = fill(ada, application, 1000)
    chosen = random.sample(sessions, 250)
    errors: list[BaseException] = []

    def sign_in(session: UUID) -> None:
        bundle = store.UpstreamBundle(
            session_id=session,
            provider="corp",
            user_id=ada.pk,
            client_id=application.pk,
            subject="ada",
            access_token=f"newer-{session}",
            refresh_token=f"newer-refresh-{session}",
        )
        for attempt in range(5):
            try:
                store.store(bundle)
                return
            except OperationalError:  # Of two writers that meet, a database may send one away.
                if attempt == 4:
                    raise

    def sign_in_all() -> None:
        try:
            for session in chosen:
                sign_in(session)
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            errors.append(error)
        finally:
            connections.close_all()

    with racer(work="migrate", arguments=["--batch-size", "10"]) as process:
        people = threading.Thread(target=sign_in_all)
        process.go()
        people.start()
        report = process.result()
        people.join()
    assert not errors
    assert report["failed"] == 0
    assert not waiting()
    assert sorted(arrived()) == sorted(sessions)
    for session in sessions:
        kind = "newer" if session in chosen else "access"
        assert bundle_of(session).access_token == f"{kind}-{session}"
    assert report["existed"] + report["moved"] == len(sessions)


def test_who_signs_out_meanwhile_stays_signed_out(application):
    """I11: nothing of a session that ended comes back, also where its row was being moved at that moment."""
    ada = make_user()
    sessions = fill(ada, application, 600)
    chosen = random.sample(sessions, 120)
    errors: list[BaseException] = []

    def sign_out_all() -> None:
        try:
            for session in chosen:
                store.delete(session)
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            errors.append(error)
        finally:
            connections.close_all()

    with racer(work="migrate", arguments=["--batch-size", "10"]) as process:
        people = threading.Thread(target=sign_out_all)
        process.go()
        people.start()
        report = process.result()
        people.join()
    assert not errors
    assert report["failed"] == 0
    assert set(arrived()) == set(sessions) - set(chosen)
