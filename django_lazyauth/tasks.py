"""Celery tasks: thin, one flow each. Without Celery, run the management commands of the same names by cron."""

from __future__ import annotations

from celery import shared_task

from django_lazyauth.flows.sweep import sweep


@shared_task(name="django_lazyauth.sweep", ignore_result=True)
def sweep_task() -> None:
    """Delete what is over; every few minutes is a good rhythm."""
    for _ in sweep():
        pass
