"""Processes that work on what ends at that moment: each does one thing a round, and all begin a round together.

``python -m tests.support.endings`` reads a job from its input, says ``ready``, waits for a line with the time of the
first round, and prints what came of each round as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).parents[2]
#: Seconds from the start of one round to that of the next.
ROUND = 0.6


def race(*works: list[list[Any]]) -> list[list[Any]]:
    """Run each of *works*, one action a round, in a process of its own; return what came of them, by round."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_process(rounds)) for rounds in works]
        start = time.time() + 0.3
        for process in processes:
            process.stdin.write(f"{start}\n")
            process.stdin.close()
        results = [json.loads(process.stdout.readline()) for process in processes]
    return [list(together) for together in zip(*results, strict=True)]


@contextlib.contextmanager
def _process(rounds: list[list[Any]]) -> Iterator[subprocess.Popen[str]]:
    job = {
        "database": connection.settings_dict["NAME"],
        "options": connection.settings_dict["OPTIONS"],
        "lazyauth": settings.LAZYAUTH,
        "rounds": rounds,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.endings"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            process.stdin.write(json.dumps(job, default=str) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


# -- what a process does in a round --------------------------------------------------------------------------


def _refresh(token: str, client_id: str) -> list[int]:
    """Refresh again and again until it is refused; return the statuses."""
    from tests.support.journey import make_browser, post_form

    statuses = []
    for _ in range(40):
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
        answer = post_form(make_browser(), "/token", form)
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            break
        token = answer.json()["refresh_token"]
    return statuses


def _exchange(form: dict[str, str]) -> list[int]:
    from tests.support.journey import make_browser, post_form

    return [post_form(make_browser(), "/token", form).status_code]


def _vault(session_id: str, provider: str, user_id: Any, client_id: Any) -> list[str]:
    """Ask for a fresh upstream token again and again; return how it ended."""
    from django_lazyauth.errors import BundleNotFound, RefreshError
    from django_lazyauth.upstream.fresh_token import fresh_token

    for _ in range(10):
        try:
            fresh_token(UUID(session_id), provider, user_id=user_id, client_id=client_id)
        except (BundleNotFound, RefreshError) as error:
            return [type(error).__name__]
    return []


def _call(dotted: str, *arguments: Any) -> list[Any]:
    """Call a function of this module."""
    globals()[dotted](*arguments)
    return []


def delete_user(pk: Any) -> None:
    from django.contrib.auth import get_user_model

    get_user_model().objects.get(pk=pk).delete()


def delete_users(pk: Any) -> None:
    from django.contrib.auth import get_user_model

    get_user_model().objects.filter(pk=pk).delete()


def delete_user_again(pk: Any) -> None:
    """Delete as ``docs/databases.md`` says for a database that aborts transactions: end first, and retry."""
    end_all_again(pk)
    _as_often_as_it_takes(partial(delete_user, pk))


def end_all_again(pk: Any) -> None:
    _as_often_as_it_takes(partial(end_all, pk))


def unlink_again(pk: Any) -> None:
    _as_often_as_it_takes(partial(unlink, pk))


def _as_often_as_it_takes(work: Callable[[], None]) -> None:
    """A busy machine runs few attempts in the time that a request would have for them."""
    from django.db import OperationalError

    from django_lazyauth.kit.retry import is_conflict

    for _ in range(50):
        try:
            return work()
        except OperationalError as error:
            if not is_conflict(error):
                raise
    raise AssertionError("each attempt was aborted")


def end_all(pk: Any) -> None:
    from django.contrib.auth import get_user_model

    from django_lazyauth.sessions import end

    end.end_all_sessions(get_user_model().objects.get(pk=pk))


def deactivate(pk: Any) -> None:
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(pk=pk)
    user.is_active = False
    user.save()


def unlink(pk: Any) -> None:
    from django.contrib.auth import get_user_model

    from django_lazyauth.models import ProviderIdentity
    from django_lazyauth.sign_in import identities

    user = get_user_model().objects.get(pk=pk)
    identities.unlink(user, ProviderIdentity.objects.get(user=user, provider="demo").pk)


def delete_access_tokens(pk: Any) -> None:
    from oauth2_provider.models import get_access_token_model

    get_access_token_model().objects.filter(user_id=pk).delete()


def delete_client(pk: Any) -> None:
    from oauth2_provider.models import get_application_model

    get_application_model().objects.get(pk=pk).delete()


def delete_client_as_operator(pk: Any) -> None:
    from django_lazyauth.clients import operator_actions

    operator_actions.delete([pk])


def end_session(session_id: str) -> None:
    from django_lazyauth.sessions import end

    end.end_session(UUID(session_id))


def join(bundle: dict[str, Any], upstream_client: str) -> None:
    """Sign a session in that brings no refresh token, and may live on a standing grant of the same person."""
    from django_lazyauth.vault import store
    from django_lazyauth.vault.tokens import GrantTerms

    store.store(
        store.UpstreamBundle(**bundle | {"session_id": UUID(bundle["session_id"])}),
        GrantTerms(upstream_client, is_standing=True, revocation="token"),
    )


WORKS = {"refresh": _refresh, "exchange": _exchange, "vault": _vault, "call": _call}


def _run(action: list[Any]) -> list[Any]:
    name, *arguments = action
    try:
        return WORKS[name](*arguments)
    except Exception as error:  # noqa: BLE001 - the test says that there is none
        return [f"{type(error).__name__}: {error}"]


if __name__ == "__main__":
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    received = json.loads(sys.stdin.readline())
    settings.DATABASES["default"]["NAME"] = received["database"]
    settings.DATABASES["default"]["OPTIONS"] = received["options"]
    settings.LAZYAUTH = received["lazyauth"]
    django.setup()
    from django.db import connection as own

    own.ensure_connection()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    first = float(sys.stdin.readline())
    outcome = []
    for number, planned in enumerate(received["rounds"]):
        time.sleep(max(0.0, first + number * ROUND - time.time()))
        outcome.append(_run(planned))
    sys.stdout.write(json.dumps(outcome) + "\n")
