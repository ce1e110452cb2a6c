"""The database fails at each statement and COMMIT of each path: no invariant breaks, and no secret is reported."""

from __future__ import annotations

import logging
import os
from itertools import count
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Count
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import ProviderIdentity, UpstreamToken
from django_lazyauth.upstream import renew
from tests.faults.paths import PATHS, PREFIX, World
from tests.support.faults import QUOTED, Fault, injected
from tests.support.journey import redeem
from tests.support.reports import reported, reports_of, stack_as_reported
from tests.vault.test_canary import database_text

pytestmark = pytest.mark.django_db(transaction=True)

#: One point of a path in so many is tried. `LAZYAUTH_FAULTS=all` tries each, which takes hours on a small machine.
EVERY_POINT = os.environ.get("LAZYAUTH_FAULTS") == "all"
STEP = 1 if EVERY_POINT else 6
#: The kinds of failure that `make test` tries. The others are `slow`.
SAMPLED = ("once", "commit not acknowledged")

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
    monkeypatch.setattr(Throttle, "take", lambda self, key: True, raising=False)
    upstream.control(prefix=f"{PREFIX}-")
    lazyauth(UPSTREAM_TOKEN_CLIENTS={confidential.client_id: ["acme"]}, REGISTRATIONS_PER_NETWORK=10_000)
    world = World(upstream, confidential.client_id, lazyauth)
    # The keys of the upstream are known: a fetch of them that failed is not repeated for a while.
    world.tokens(world.client())
    return world


def assert_invariants() -> None:
    """What no committed state may hold, whatever failed."""
    users, identities = get_user_model().objects, ProviderIdentity.objects
    assert not users.exclude(pk__in=identities.values("user_id")).exists(), "I3: a user without an identity"
    holders = users.filter(pk__in=AccessToken.objects.values("user_id"))
    assert not holders.exclude(pk__in=identities.values("user_id")).exists(), "I3: tokens without an identity"
    owners = UpstreamToken.objects.exclude(user_id__in=identities.values("user_id"))
    assert not owners.exists(), "I3: upstream tokens without an identity"
    unconsumed = RefreshToken.objects.filter(revoked__isnull=True).values("token_family")
    assert not unconsumed.annotate(n=Count("pk")).filter(n__gt=1).exists(), "I10: two refresh tokens work"
    assert PREFIX not in database_text(), "I13: an upstream token in the clear"


class Seen:
    """Everything that leaves: answers, logs, reports, and the stack at the moment of each failure."""

    def __init__(self, caplog: Any) -> None:
        self.caplog, self.texts = caplog, []

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
                if secret in text and not (
                    secret == QUOTED and "canary0quoted" in text and "faults.py" in text
                ):
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


@pytest.mark.parametrize(
    "how", [how if how in SAMPLED else pytest.param(how, marks=pytest.mark.slow) for how in FAULTS]
)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.timeout(900)
def test_i22_whatever_fails_no_invariant_breaks_and_no_secret_is_reported(world, caplog, path, how):
    """I1 to I20, I13, I22: each statement and each COMMIT of the path fails in turn."""
    caplog.set_level(logging.INFO)
    fired = 0
    for n in count(1, STEP if how in SAMPLED or EVERY_POINT else 5 * STEP):
        attempt = PATHS[path](world)
        caplog.clear()
        seen = Seen(caplog)
        fault = Fault(n, on_failure=lambda seen=seen: seen.texts.append(stack_as_reported()), **FAULTS[how])
        with injected(fault):
            status = act(attempt, seen)
        assert seen.leaks(attempt.secrets) == [], (path, how, n)
        assert_invariants()
        if not fault.fired:
            assert status in (200, 201, 204, 302, 303), (path, how, n, status)
            break
        fired += 1
        if fired == 2 and how not in SAMPLED and not EVERY_POINT:
            break  # A path that waits for another request asks the database again and again, for seconds.
    assert fired or how.startswith("commit")
    client = world.client()
    assert redeem(client, world.code(client)).status_code == 200
    connection.ensure_connection()
