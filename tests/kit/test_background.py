"""Work in threads: bounded, not lost by what fails, and woken early by other work."""

from __future__ import annotations

import os
import threading
import time
from functools import partial

import pytest

from django_lazyauth.kit.background import Share, Threads

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


def test_work_that_waits_for_its_share_lets_other_work_pass(gate):
    threads, done = Threads("test", threads=3, queue=20), []
    slow, slower = Share("slow", threads=2, queue=4), Share("slower", threads=1, queue=1)

    def wait(name):
        assert gate.wait(PATIENCE)
        done.append(name)

    assert threads.submit(lambda: wait("slower"), slow, slower)
    assert threads.submit(lambda: wait("slower"), slow, slower)
    assert not threads.submit(lambda: wait("too many"), slow, slower)
    taken = [threads.submit(lambda: wait("slow"), slow) for _ in range(6)]
    assert taken == [True] * 4 + [False] * 2
    for number in range(5):
        quick = threading.Event()
        assert threads.submit(quick.set), number
        assert quick.wait(PATIENCE), number
    assert not done
    gate.set()
    until(lambda: sorted(done) == ["slow"] * 4 + ["slower"] * 2)
    until(lambda: not threads._unfinished_of and not threads._running_of)


def test_no_more_work_of_a_share_runs_at_the_same_time_than_it_allows():
    threads, running, most = Threads("test", threads=6, queue=60), [], []
    shares = [Share(f"share {number}", threads=1, queue=20) for number in range(3)]

    def work(name):
        running.append(name)
        most.append((running.count(name), len(running)))
        time.sleep(0.005)
        running.remove(name)

    for number in range(45):
        share = shares[number % 3]
        assert threads.submit(partial(work, share.name), share)
    until(lambda: len(most) == 45 and not running)
    assert max(of_share for of_share, _ in most) == 1
    assert max(in_all for _, in_all in most) <= 3
