"""A project as ``startproject`` makes it with the installed Django, where every warning is an error."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys

import pytest

from django_lazyauth.checks import check_deployment
from tests.support.celery_workers import WORKER, broker, stop, wait_for
from tests.support.fresh_project import ROOT, FreshProject

__all__ = ["broker"]

# Each starts processes, and each of them imports Django.
pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

#: As the page shows it.
CELERY = re.search(
    r"^```python\n(.*?)^```", (ROOT / "docs/how-to/periodic-jobs.md").read_text(), re.DOTALL | re.MULTILINE
)[1]
#: At the end of it, so that the test does not wait for five minutes.
OFTEN = """
from datetime import timedelta
from django_lazyauth.tasks import schedule
if os.environ.get("OFTEN"):
    app.conf.beat_schedule = schedule(sweeping=timedelta(seconds=1))
"""
IN_INIT = "from .celery import app as celery_app\n__all__ = ['celery_app']\n"
CELERY_SETTINGS = """
CELERY_BROKER_URL = os.environ.get("LAZYAUTH_TEST_BROKER", "memory://")
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("LAZYAUTH_TEST_QUEUE", "celery")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
"""
#: The sweep takes it.
EXPIRED = """
from datetime import timedelta
from django.utils import timezone
from oauth2_provider.models import get_access_token_model
tokens = get_access_token_model().objects
tokens.all().delete()
tokens.create(token="old", expires=timezone.now() - timedelta(days=400), scope="")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose ``celery.py`` is as Celery's and our docs show it."""
    files = {"celery.py": CELERY + OFTEN, "__init__.py": IN_INIT}
    project = FreshProject(tmp_path_factory.mktemp("fresh"), settings=CELERY_SETTINGS, files=files)
    project.manage("migrate", "-v0")
    return project


def test_the_checks_of_a_fresh_project_run(project):
    """``--deploy`` names what is weak, and reads the mail settings of this Django without a warning."""
    project.manage("check")
    deploy = project.manage("check", "--deploy", check=False)
    assert "Traceback" not in deploy.stderr
    assert "lazyauth.E103" in deploy.stderr
    assert "lazyauth.W001" not in deploy.stderr
    project.manage("makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize(
    ("mailers", "is_refused"),
    [
        ({"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}, True),
        (
            {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": {"host": "m"}}},
            False,
        ),
        ({"other": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"}}, True),
        ({}, True),
    ],
)
def test_the_check_of_mail_reads_mailers(settings, lazyauth, mailers, is_refused):
    """Django 6.1 has ``MAILERS`` in place of ``EMAIL_BACKEND``."""
    lazyauth(PROVIDERS={"password": {"type": "password"}})
    settings.MAILERS = mailers
    assert ("lazyauth.E113" in {found.id for found in check_deployment(None)}) is is_refused


def test_the_beat_schedule_can_be_imported_before_the_apps_are_loaded(project):
    """In ``celery.py``, as the docs show it, and in the settings themselves. Nothing is copied for beat."""
    starts = (
        "app.loader.init_worker(); app.finalize(); print(sorted(app.conf.beat_schedule))"  # As beat does.
    )
    found = project.run("-c", f"from mysite.celery import app; {starts}")
    assert "lazyauth-sweep" in found.stdout
    (project.path / "mysite" / "scheduled.py").write_text(
        "from .settings import *\nfrom django_lazyauth.tasks import schedule\nCELERY_BEAT_SCHEDULE = schedule()\n"
    )
    project.manage("check", DJANGO_SETTINGS_MODULE="mysite.scheduled")


def test_the_names_of_the_tasks_are_those_that_messages_carry():
    """``tasks.py`` may import neither room before the apps are loaded, so the names stand twice."""
    from django_lazyauth import tasks
    from django_lazyauth.kit import cached_fetch
    from django_lazyauth.sessions import logout_queue

    assert tasks.fetch.name == cached_fetch.TASK
    assert tasks.deliver_logout.name == logout_queue.TASK
    registered = {task.name for task in vars(tasks).values() if hasattr(task, "apply_async")}
    assert {entry["task"] for entry in tasks.schedule().values()} <= registered


def has_expired_token(project):
    with contextlib.closing(sqlite3.connect(project.path / "db.sqlite3")) as rows:
        return rows.execute("SELECT COUNT(*) FROM oauth2_provider_accesstoken").fetchone() == (1,)


@pytest.mark.services
def test_worker_and_beat_of_such_a_project_start_and_sweep(project, broker, tmp_path):
    """The way of the docs to its end: beat sends, the worker finds the tasks, and the expired row is gone."""
    project.manage("shell", "-v0", "-c", EXPIRED)
    assert has_expired_token(project)
    environment = project.environment(**broker, OFTEN="1")
    with contextlib.ExitStack() as stack:
        for command in [WORKER, ("beat", f"--schedule={tmp_path / 'beat'}")]:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "mysite", *command],
                cwd=project.path,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(stop, process)
        wait_for(lambda: not has_expired_token(project), seconds=120)


def test_the_worker_sweeps_and_ends_in_order(project):
    """Spec 11: for systemd and containers on a site without Celery, which end it with SIGTERM."""
    project.manage("shell", "-v0", "-c", EXPIRED)
    assert has_expired_token(project)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "manage.py", "lazyauth_worker"],
        cwd=project.path,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            wait_for(lambda: not has_expired_token(project), seconds=120)
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0, process.stderr.read()
