"""The Celery app of the tests' workers, beat and web processes: ``celery -A tests.support.celery_app worker``."""

from __future__ import annotations

import os
from datetime import timedelta

import django
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.process_settings")
django.setup()

app = Celery("lazyauth-tests", broker=os.environ["LAZYAUTH_TEST_BROKER"])
app.conf.update(
    task_default_queue=os.environ["LAZYAUTH_TEST_QUEUE"],
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)
app.set_default()
app.autodiscover_tasks(["django_lazyauth"], force=True)

from django_lazyauth.tasks import schedule  # noqa: E402 - needs the apps

app.conf.beat_schedule = schedule(
    keys=timedelta(seconds=1), sweeping=timedelta(seconds=1), logouts=timedelta(seconds=1)
)
