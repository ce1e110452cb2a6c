"""What an operator sees of the command: the bar, the status, a run beside another."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from .rows import make_legacy, make_user, migrate


class Screen:
    """A terminal that remembers what was written to it."""

    def __init__(self) -> None:
        self.main, self.end = pty.openpty()

    def text(self) -> str:
        os.close(self.end)
        found = b""
        while True:
            try:
                piece = os.read(self.main, 65536)
            except OSError:
                break
            if not piece:
                break
            found += piece
        os.close(self.main)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found.decode())


def shown(*arguments: str, setup: str = "") -> str:
    """Run the bar of the command on a terminal, in a process of its own."""
    code = f"""
import sys, time
{setup}
from django.core.management.base import OutputWrapper
from django_lazyauth.legacy.progress import show_progress
with show_progress(OutputWrapper(sys.stderr), is_shown=True) as watching:
    watching.start(1000)
    for _ in range(10):
        time.sleep(0.12)
        watching.advance(100)
"""
    screen = Screen()
    process = subprocess.run(
        [sys.executable, "-c", code],
        stderr=screen.end,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
        timeout=60,
        check=False,
    )
    assert process.returncode == 0
    return screen.text()


def test_a_terminal_shows_how_far_it_got_how_fast_and_how_long_it_takes():
    text = shown()
    assert "1000/1000" in text
    assert re.search(r"[\d,]{3,}/s", text)
    assert re.search(r"left: +\d:\d\d:\d\d", text)


def test_without_the_library_it_works_in_silence():
    assert shown(setup="sys.modules['rich'] = sys.modules['rich.console'] = None") == ""


@pytest.mark.django_db
def test_nothing_is_drawn_where_no_terminal_is(application):
    make_legacy(make_user(), application)
    ran = migrate()
    assert ran.err == ""


@pytest.mark.django_db
def test_other_apps_sources_need_the_apps(db):
    for source in ("allauth", "social-auth"):
        ran = migrate("--source", source)
        assert (ran.status, ran.out) == (1, "")
        assert "INSTALLED_APPS" in ran.err


@pytest.mark.django_db
def test_with_debug_on_no_statement_is_kept(application, settings):
    """With DEBUG Django remembers every statement and its parameters: that would be neither memory nor secrecy."""
    from django.db import connection

    settings.DEBUG = True
    ada = make_user()
    for _ in range(6):
        make_legacy(ada, application)
    assert migrate("--batch-size", "2").status == 0
    assert "sub-of-ada" not in str(connection.queries)
