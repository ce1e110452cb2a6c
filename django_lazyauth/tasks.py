"""Celery tasks: thin, one flow each. Without Celery, run the management commands of the same names by cron.

A host's schedule takes what it wants of :func:`schedule`::

    app.conf.beat_schedule = {**django_lazyauth.tasks.schedule(), …}
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import shared_task

from django_lazyauth.flows import key_rotation
from django_lazyauth.flows.sweep import sweep
from django_lazyauth.openid import discovery, pilots

#: How often the keys of configured providers are looked at; each is fetched when its own ``max-age`` is over.
KEY_INTERVAL = timedelta(minutes=15)
SWEEP_INTERVAL = timedelta(minutes=5)

#: What a worker must have imported before it can fly for them.
FLIGHTS = (discovery.configurations, discovery.key_sets)


@shared_task(name="django_lazyauth.sweep", ignore_result=True)
def sweep_task() -> None:
    """Delete what is over; every few minutes is a good rhythm."""
    for _ in sweep():
        pass


@shared_task(name="django_lazyauth.refresh_provider_keys", ignore_result=True)
def refresh_provider_keys() -> None:
    """Keep the stored keys of configured providers fresh; what fails is logged, and what is stored stands."""
    key_rotation.refresh_providers()


@shared_task(name=pilots.TASK, ignore_result=True)
def fly(name: str, key: str, token: str) -> None:
    """Fetch what an SSO domain says (``DISCOVERY_RUNNER = "celery"``)."""
    pilots.fly(name, key, token)


def schedule(
    *, keys: timedelta = KEY_INTERVAL, sweeping: timedelta = SWEEP_INTERVAL
) -> dict[str, dict[str, Any]]:
    """Return the entries for ``beat_schedule``. A beat that was away does not make its tasks up."""
    return {
        "lazyauth-refresh-provider-keys": {
            "task": "django_lazyauth.refresh_provider_keys",
            "schedule": keys,
            "options": {"expires": keys.total_seconds()},
        },
        "lazyauth-sweep": {
            "task": "django_lazyauth.sweep",
            "schedule": sweeping,
            "options": {"expires": sweeping.total_seconds()},
        },
    }
