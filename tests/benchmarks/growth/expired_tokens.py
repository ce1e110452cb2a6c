"""How long the sweep takes for the rows of django-oauth-toolkit, beside the toolkit's own ``clear_expired``.

Both delete the same rows, each from a copy of one database: spent refresh tokens of sessions that ended long ago, and
their access and ID tokens. As many sessions live, and both have to leave their rows. The sweep looks at our own tables,
too. The peer gets batches as large as it ships with, and does not have to sleep between them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Model
from oauth2_provider.models import (
    clear_expired,
    get_access_token_model,
    get_id_token_model,
    get_refresh_token_model,
)

from django_lazyauth.upkeep.sweep import sweep
from tests.support.many_rows import TOKEN, Filled, fill, unchecked_keys, vacuum

from .operations import register_clients
from .sites import copied, opened

ROUNDS = 5
BAR = 1.0
LONG_AGO = "now() - interval '200 days'"


@dataclass(frozen=True)
class Clearing:
    """Medians in seconds, for so many rows of each kind."""

    rows: int
    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def holds(self) -> bool:
        return self.ratio <= BAR


def clearing(template: str, *, rows: int) -> Clearing:
    """Measure both in turns. Each run has a copy of its own."""
    settings.OAUTH2_PROVIDER = {**settings.OAUTH2_PROVIDER, "CLEAR_EXPIRED_TOKENS_BATCH_INTERVAL": 0}
    sides: tuple[Callable[[], Any], ...] = (lambda: list(sweep()), clear_expired)
    times: tuple[list[float], ...] = ([], [])
    with copied(template, f"{template}_expired") as source:
        with opened(source):
            _fill(rows)
        source.close()
        for number in range(ROUNDS):
            turns = list(zip(sides, times, strict=True))
            for run, taken in turns if number % 2 else reversed(turns):
                taken.append(_time(run, f"{template}_expired", rows))
    return Clearing(rows, median(times[0]), median(times[1]))


def _fill(rows: int) -> None:
    application = register_clients()
    fill(rows, application=application)
    ended = Filled(rows)
    owner = {"id": "n", "user_id": f"{ended.primary_key(0)} + n", "application_id": str(application.pk)}
    expressions: dict[type[Model], dict[str, str]] = {
        get_id_token_model(): {"jti": "gen_random_uuid()", "expires": LONG_AGO, "created": LONG_AGO},
        get_access_token_model(): {
            "id_token_id": "n",
            "token": TOKEN.format(salt="ended"),
            "token_checksum": "md5(n::text) || md5('e' || n)",
            "expires": LONG_AGO,
            "created": LONG_AGO,
        },
        get_refresh_token_model(): {
            "access_token_id": "n",
            "token": "'ended-' || n",
            "token_checksum": "md5(n::text) || md5('d' || n)",
            "token_family": "gen_random_uuid()",
            "revoked": LONG_AGO,
            "created": LONG_AGO,
        },
    }
    with unchecked_keys():
        for model, given in expressions.items():
            ended.insert(model, owner | given)
    vacuum()


def _time(run: Callable[[], Any], template: str, rows: int) -> float:
    with ExitStack() as stack:
        stack.enter_context(opened(stack.enter_context(copied(template, f"{template}_copy"))))
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        start = perf_counter()
        run()
        taken = perf_counter() - start
        for model in (get_refresh_token_model(), get_access_token_model(), get_id_token_model()):
            if (left := model._default_manager.count()) != rows:
                raise AssertionError(f"{left} rows of {model._meta.label} are left, not {rows}")
    return taken
