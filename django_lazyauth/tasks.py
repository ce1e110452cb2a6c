"""Celery tasks: one call each. Without Celery, ``manage.py lazyauth_worker`` runs the periodic ones.

The schedule registers itself: where beat finds these tasks (``app.autodiscover_tasks()``), ``app.conf.beat_schedule``
has entries for them. An entry of the host with the same name stands. :func:`schedule` makes entries with other
intervals::

    app.conf.beat_schedule = django_lazyauth.tasks.schedule(sweeping=timedelta(minutes=1))

A host imports this module in ``celery.py`` or ``settings.py``, before the apps are loaded. So each task imports what
it runs when it runs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery, shared_task
from celery._state import _get_active_apps, connect_on_app_finalize

from django_lazyauth.upkeep.schedule import KEYS, LOGOUTS, SWEEP

#: Beat sends what is due later. A worker would keep the message in memory, and the broker would redeliver it.
LONGEST_COUNTDOWN = timedelta(minutes=5)


@shared_task(name="django_lazyauth.sweep", ignore_result=True)
def sweep_task() -> None:
    """Delete what has expired. Run it every few minutes."""
    from django_lazyauth.upkeep.periodic import noted
    from django_lazyauth.upkeep.sweep import sweep

    with noted("sweep"):
        for _ in sweep():
            pass


@shared_task(name="django_lazyauth.refresh_provider_keys", ignore_result=True)
def refresh_provider_keys() -> None:
    """Refresh the stored keys of configured providers. A failure is logged, and the stored keys stay."""
    from django_lazyauth.providers import key_refresh
    from django_lazyauth.upkeep.periodic import noted

    with noted("refresh_provider_keys"):
        key_refresh.refresh_providers()


@shared_task(name="django_lazyauth.refresh_provider", ignore_result=True)
def refresh_provider(name: str) -> None:
    """Refresh the stale keys of a provider that somebody signs in with (``DISCOVERY_RUNNER = "celery"``)."""
    from django_lazyauth.openid import key_fetch

    key_fetch.run(name)


@shared_task(name="django_lazyauth.fetch", ignore_result=True)
def fetch(name: str, key: str, token: str) -> None:
    """Fetch what an SSO domain says, or the keys of an issuer or a client (``DISCOVERY_RUNNER = "celery"``)."""
    from django_lazyauth.clients.by_key import keys as client_keys  # noqa: F401 - the import registers its cache
    from django_lazyauth.kit import cached_fetch
    from django_lazyauth.openid import sso_discovery  # noqa: F401 - a cache is found by name once it was imported
    from django_lazyauth.resource_server import keys  # noqa: F401 - its cache is registered by the import

    cached_fetch.run_by_name(name, key, token)


@shared_task(name="django_lazyauth.deliver_logout", ignore_result=True)
def deliver_logout(session_id: str) -> None:
    """Notify the client that a session ended. After a failure, send the next try."""
    from django_lazyauth.sessions import backchannel, logout_queue

    pause = backchannel.deliver_session(session_id)
    if pause is not None and pause <= LONGEST_COUNTDOWN:
        logout_queue.send_message(session_id, countdown=pause.total_seconds())


@shared_task(name="django_lazyauth.deliver_logouts", ignore_result=True)
def deliver_logouts() -> None:
    """Send a message for each notification that is due: a lost message, or a later try."""
    from django_lazyauth.sessions import backchannel, logout_queue
    from django_lazyauth.upkeep.periodic import noted

    with noted("deliver_logouts"):
        for session_id in backchannel.due_sessions():
            logout_queue.send_message(session_id)


def schedule(
    *,
    keys: timedelta = KEYS.every,
    sweeping: timedelta = SWEEP.every,
    logouts: timedelta = LOGOUTS.every,
) -> dict[str, dict[str, Any]]:
    """Return entries for ``beat_schedule``. Each expires before the next, so that beat does not catch up."""
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
        "lazyauth-deliver-logouts": {
            "task": "django_lazyauth.deliver_logouts",
            "schedule": logouts,
            "options": {"expires": logouts.total_seconds()},
        },
    }


def _add_schedule(sender: Celery, **_: object) -> None:
    """Add the entries that the host does not have itself."""
    sender.conf.beat_schedule = {**schedule(), **sender.conf.beat_schedule}


# Celery calls it for each app that is finalized after this import, as it does for shared tasks.
@connect_on_app_finalize
def _follow(app: Celery) -> None:
    # Its configuration may be read later, and again.
    app.on_after_configure.connect(_add_schedule, sender=app, weak=False)
    if app.configured:
        _add_schedule(app)


for _app in _get_active_apps():
    if _app.finalized:
        _follow(_app)
