"""Work in threads: bounded, not lost by what fails, and woken early by other work."""

from __future__ import annotations

import os
import threading
import time

import pytest

from django_lazyauth.kit.background import Threads

PATIENCE = 10


@pytest.fixture
def gate():
    made = threading.Event()
    yield made
    made.set()


def until(condition):
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def test_no_more_than_threads_and_queue_are_taken(gate):
    threads, done = Threads("test", threads=2, queue=3), []

    def work():
        assert gate.wait(PATIENCE)
        done.append(1)

    assert [threads.submit(work) for _ in range(7)] == [True] * 5 + [False] * 2
    gate.set()
    until(lambda: len(done) == 5)
    until(lambda: threads.submit(lambda: done.append(2)))
    until(lambda: 2 in done)


def test_no_more_than_so_many_run_at_the_same_time(gate):
    threads, running, most = Threads("test", threads=2, queue=20), [], []

    def work():
        running.append(1)
        most.append(len(running))
        time.sleep(0.01)
        running.pop()

    for _ in range(20):
        assert threads.submit(work)
    until(lambda: len(most) == 20 and not running)
    assert max(most) <= 2


@pytest.mark.parametrize("words", ["canary"])
def test_work_that_fails_is_logged_without_its_words_and_the_next_runs(caplog, words):
    """I13."""
    threads, done = Threads("test", threads=1, queue=1), threading.Event()

    def work():
        raise ValueError(words)

    threads.submit(work)
    until(lambda: threads.submit(done.set))
    assert done.wait(PATIENCE)
    assert "ValueError" in caplog.text
    assert words not in caplog.text


def test_a_sleeping_thread_is_woken_by_other_work():
    threads, woken, second = Threads("test", threads=1, queue=1), [], threading.Event()
    threads.submit(lambda: woken.append(threads.wait_for_work(PATIENCE)))
    threads.submit(second.set)
    assert second.wait(PATIENCE / 2)
    assert woken == [True]
    assert not threads.wait_for_work(0.01)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own(gate):
    threads = Threads("test", threads=1, queue=0)
    assert threads.submit(lambda: gate.wait(PATIENCE))
    child = os.fork()
    if child == 0:
        ran = threading.Event()
        os._exit(0 if threads.submit(ran.set) and ran.wait(5) else 1)
    assert os.waitpid(child, 0)[1] == 0
