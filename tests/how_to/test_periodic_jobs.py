"""``docs/how-to/periodic-jobs.md``: a worker and a beat of Celery, and the worker of our own."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from tests.support.reader import Reader, wait_for

# A first test makes the site.
pytestmark = pytest.mark.timeout(600)

PAGE = "how-to/periodic-jobs.md"
BROKER = os.environ.get("LAZYAUTH_TEST_REDIS_BROKER_URL", "redis://127.0.0.1:6379/6")

JOBS = {"sweep", "refresh_provider_keys", "deliver_logouts"}


def done(site: Reader) -> set[str]:
    """Return the jobs that have run, as the overview of the admin knows them."""
    with closing(sqlite3.connect(site.folder / "db.sqlite3", timeout=20)) as connection:
        return {
            name
            for (name,) in connection.execute(
                "SELECT name FROM lazyauth_periodicrun WHERE finished_at IS NOT NULL"
            )
        }


@pytest.mark.services
def test_beat_has_the_schedule_and_the_worker_runs_the_jobs(site):
    """Spec 11: periodic work needs no hand-copying."""
    redis = pytest.importorskip("redis")
    try:
        redis.Redis.from_url(BROKER).ping()
    except redis.ConnectionError:
        pytest.skip("service: no Redis here")
    queue = f"how-to-{site.folder.parent.name}-{os.getpid()}"
    site.names |= {
        "redis://127.0.0.1:6379/2": BROKER,
        # Nobody waits for a minute here.
        "timedelta(minutes=1)": "timedelta(seconds=2), keys=timedelta(seconds=2), logouts=timedelta(seconds=2)",
    }
    site.write("mysite/settings.py", f'CELERY_TASK_DEFAULT_QUEUE = "{queue}"\n', end=True)
    site.follow(PAGE, "With Celery")
    site.close_terminal("beat")
    site.follow(PAGE, "Other intervals")
    site.type("celery -A mysite beat")
    wait_for(lambda: done(site) == JOBS, lambda: site.log("worker") + site.log("beat"))
    assert site.close_terminal("beat") == 0
    assert site.close_terminal("worker") == 0


@pytest.mark.slow
def test_one_process_runs_the_jobs_without_celery(site):
    """SIGTERM ends it; cron runs each job once."""
    site.follow(PAGE, "Without Celery")
    wait_for(lambda: done(site) == JOBS, lambda: site.log("lazyauth_worker"))
    assert site.close_terminal("lazyauth_worker") == 0
