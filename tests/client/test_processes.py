"""Processes that refresh at once, and processes that are killed. In none of them Django can be imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from django_lazyauth.client import Store
from tests.client.conftest import tokens
from tests.client.keyrings import DiskKeyring

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_DJANGO = """
import runpy, sys
sys.modules["django"] = None
runpy.run_module("tests.client.process", run_name="__main__")
"""
pytestmark = pytest.mark.slow


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT_DJANGO, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out.strip()


@pytest.fixture
def place(tmp_path, account):
    """A directory with Ada, whose access token has ended."""
    store = Store(tmp_path / "lazyauth", backend=DiskKeyring(tmp_path / "keyring"))
    store.save("ada", account, tokens(expires_at=time.time() - 1))
    store.use("ada")
    return tmp_path


@pytest.mark.parametrize("count", [2, 8])
def test_processes_that_refresh_at_once_post_once(place, server, count):
    server.seconds = 0.5
    assert printed(start("refresh", place, count)).split() == ["access-1"] * count
    assert len(server.forms) == 1


def test_where_the_one_request_fails_the_others_hear_that_it_is_too_early(place, server):
    server.seconds = 0.5
    server.answer = lambda _: (503, {})
    assert sorted(printed(start("refresh", place, 8)).split()) == ["busy"] * 7 + ["http_503"]
    assert len(server.forms) == 1


def test_a_holder_that_was_killed_does_not_keep_the_lock(place, server):
    server.seconds = 3
    parent = start("refresh", place, 1)
    while not server.forms:
        time.sleep(0.01)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    parent.communicate(timeout=60)
    server.seconds = 0
    assert printed(start("refresh", place, 1)) == "access-2"


@pytest.mark.parametrize(
    ("task", "least"),
    [("killed-migration", 5), ("killed-rotation", 3), ("killed-without", 4), ("killed-other-server", 4)],
)
def test_whichever_change_a_process_is_killed_before_what_is_left_is_sound(tmp_path, task, least):
    steps, wrong = printed(start(task, tmp_path)).split(" ", 1)
    assert int(steps) >= least
    assert wrong == "[]"
