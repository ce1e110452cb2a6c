"""The database fails at each statement and COMMIT of each path: no invariant breaks, and no secret is reported."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.throttle import Throttle, Verdict
from django_lazyauth.sign_in import answers
from django_lazyauth.upstream import renew, revocations
from django_lazyauth.vault import lease
from tests.faults.invariants import broken
from tests.faults.paths import PATHS, PREFIX, World
from tests.support.faults import QUOTED, Fault, injected
from tests.support.journey import redeem
from tests.support.reports import reported, reports_of, stack_as_reported

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

FAULTS = {
    "once": {"when": "before"},
    "from there on": {"when": "before", "lasting": True},
    "result lost": {"when": "after"},
    "commit never arrives": {"when": "before_commit"},
    "commit not acknowledged": {"when": "after_commit"},
    "commit not acknowledged, and gone": {"when": "after_commit", "lasting": True},
}


@pytest.fixture
def world(upstream, confidential, lazyauth, monkeypatch):
    monkeypatch.setattr(renew, "WRITE_PAUSE", 0.001)
    # Claims and leases that could not be given back: nobody waits for them here.
    monkeypatch.setattr(answers, "PATIENCE", timedelta(milliseconds=20))
    monkeypatch.setattr(lease, "LEASE_TIME", timedelta(milliseconds=300))
    monkeypatch.setattr(Throttle, "judge", lambda self, key: Verdict.WITHIN)
    # The path itself revokes what was left, and no thread beside it.
    monkeypatch.setattr(revocations, "start", lambda: None)
    upstream.control(prefix=f"{PREFIX}-")
    lazyauth(UPSTREAM_TOKEN_CLIENTS={confidential.client_id: ["acme"]}, REGISTRATIONS_PER_NETWORK=10_000)
    world = World(upstream, confidential.client_id, lazyauth)
    # The keys of the upstream are known: a fetch of them that failed is not repeated for a while.
    world.tokens(world.client())
    return world


class Seen:
    """Everything that leaves: answers, logs, reports, and the stack at the moment of each failure."""

    def __init__(self, caplog: Any) -> None:
        self.caplog, self.texts = caplog, []

    def note_stack(self) -> None:
        self.texts.append(stack_as_reported())

    def note(self, answer: Any, *, is_answer_secret: bool) -> int:
        self.texts.append(str(answer.headers))
        if not (is_answer_secret and answer.status_code < 400):
            body = answer.content.decode(errors="replace")
            assert QUOTED not in body, "the text of a database error"
            self.texts.append(body)
        return int(answer.status_code)

    def leaks(self, secrets: list[str]) -> list[str]:
        records = [repr(vars(record)) for record in self.caplog.records]
        found = []
        for text in (*self.texts, self.caplog.text, *records):
            for secret in (*secrets, PREFIX):
                if secret in text:
                    at = text.find(secret)
                    found.append(text[max(0, at - 200) : at + 40])
        return found


def act(attempt: Any, seen: Seen) -> int:
    """Send the last request of a path, and return its status; 0 for a function that raised an error of ours."""
    with reported() as reports:
        try:
            answer = attempt.act()
        except LazyAuthError as error:
            seen.texts += reports_of(error)
            return 0
        except Exception as error:  # noqa: BLE001 - a function of ours lets an error of the database through
            seen.texts += reports_of(error)
            return 0
        finally:
            seen.texts += reports
    return seen.note(answer, is_answer_secret=attempt.may_answer) if hasattr(answer, "status_code") else 200


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.timeout(600)
def test_i22_whatever_fails_no_promise_is_broken_and_no_secret_is_reported(world, caplog, path, how):
    """I1 to I20, I13, I22: statements and COMMITs of the path fail in turn, and then the client tries again."""
    caplog.set_level(logging.INFO)
    fired = 0
    for n in count(1):
        attempt = PATHS[path](world)
        caplog.clear()
        seen = Seen(caplog)
        fault = Fault(n, cuts=True, on_failure=lambda seen=seen: seen.note_stack(), **FAULTS[how])
        with injected(fault):
            status = act(attempt, seen)
        assert broken() == [], (path, how, n)
        if fault.fired:
            fired += 1
            again = act(attempt, seen)
            if again == 503:
                # The lease of an upstream refresh could not be given back. It ended meanwhile.
                again = act(attempt, seen)
            assert again < 500, (path, how, n, again)
            assert broken() == [], (path, how, n)
        assert seen.leaks(attempt.secrets) == [], (path, how, n)
        if not fault.fired:
            assert status in (200, 201, 204, 302, 303), (path, how, n, status)
            break
    assert fired or how.startswith("commit")
    client = world.client()
    assert redeem(client, world.code(client)).status_code == 200
