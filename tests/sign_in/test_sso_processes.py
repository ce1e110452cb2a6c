"""One fetch across processes, at the access log of a provider process; and what a killed one leaves behind."""

from __future__ import annotations

import time

import pytest

from django_lazyauth.models import ProviderKeySet
from django_lazyauth.openid import key_fetch
from tests.support.site_processes import starting

DOCUMENTS = ("/.well-known/lazyauth-sso", "/.well-known/openid-configuration", "/jwks")
DOMAIN = "acme.example"


@pytest.fixture
def start():
    """Start processes of the site; they end with the test."""
    with starting() as start:
        yield start


def fetches(upstream):
    return [len(upstream.requests(path)) for path in DOCUMENTS]


def wait_for(condition, seconds=15):
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
class TestTwoProcessesOnRedis:
    def test_100_threads_in_each_are_one_discovery_and_one_key_fetch(self, redis_cache, sso, start):
        processes = start(2)
        for process in processes:
            process.send("drive", domain=DOMAIN, threads=100)
        assert [process.answer() for process in processes] == [["ready"] * 100] * 2
        assert fetches(sso) == [1, 1, 1]

    def test_the_fetch_of_a_killed_process_is_replaced_after_its_limit(self, redis_cache, sso, start):
        holder, other = start(2)
        sso.control(hold_documents=True)
        holder.ask("drive_once", domain=DOMAIN)
        wait_for(lambda: fetches(sso) == [1, 0, 0])
        holder.kill()
        sso.control(hold_documents=False)
        other.ask("drive_once", domain=DOMAIN, clock_ahead=110)
        assert other.ask("is_ready", domain=DOMAIN, clock_ahead=110) is False
        assert fetches(sso) == [1, 0, 0]
        assert other.ask("drive", domain=DOMAIN, threads=20, clock_ahead=121) == ["ready"] * 20
        assert fetches(sso) == [2, 1, 1]

    def test_a_late_answer_of_another_process_is_dropped(self, redis_cache, sso, start):
        """The holder is stuck for 120 s; what its successor found stays when the holder's answer comes at last."""
        holder, other = start(2)
        sso.control(hold_documents=True)
        holder.ask("drive_once", domain=DOMAIN)
        wait_for(lambda: fetches(sso) == [1, 0, 0])
        sso.control(hold_documents="only_these", sso={"name": "Of the successor"})
        assert other.ask("drive", domain=DOMAIN, threads=1, clock_ahead=121) == ["ready"]
        sso.control(hold_documents=False, sso={"name": "Of the late answer"})
        # The holder goes on to hop 2 and comes back with an answer that nobody waits for.
        wait_for(lambda: fetches(sso)[1] == 2)
        time.sleep(0.5)
        assert other.ask("name", domain=DOMAIN, clock_ahead=121) == "Of the successor"

    def test_10_000_unknown_key_ids_of_a_domain_are_one_fetch_per_30_s(self, redis_cache, sso, start):
        """I15."""
        processes = start(2)
        processes[0].ask("drive", domain=DOMAIN, threads=1)
        began = time.monotonic()
        for process in processes:
            process.send("bad_tokens", provider=f"sso:{DOMAIN}", count=5000, threads=8, clock_ahead=31)
        ended = [each for process in processes for each in process.answer()]
        allowed = 1 + int((time.monotonic() - began) / 30)
        assert sum(sum(each.values()) for each in ended) == 10_000
        assert set().union(*ended) <= {"unknown_kid", "Pending"}
        assert 1 <= len(sso.requests("/jwks")) - 1 <= allowed
        assert processes[0].ask("is_ready", domain=DOMAIN) is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_10_000_unknown_key_ids_of_a_configured_provider_are_one_fetch_per_30_s(upstream, start):
    """I15: two processes, and the good keys are kept."""
    key_fetch.refresh(key_fetch.configured_descriptor("acme"))
    processes = start(2)
    began = time.monotonic()
    for process in processes:
        process.send("bad_tokens", provider="acme", count=5000, threads=4)
    ended = [each for process in processes for each in process.answer()]
    allowed = 1 + int((time.monotonic() - began) / 30)
    assert sum(each["unknown_kid"] for each in ended) == 10_000
    assert 1 <= len(upstream.requests("/jwks")) - 1 <= allowed
    assert len(ProviderKeySet.objects.get(pk="acme").jwks["keys"]) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_10_000_bad_signatures_of_a_known_key_are_one_fetch_per_30_s(upstream, start):
    """I15: the same counter as that of unknown keys."""
    key_fetch.refresh(key_fetch.configured_descriptor("acme"))
    [kid] = [key["kid"] for key in ProviderKeySet.objects.get(pk="acme").jwks["keys"] if key["kty"] == "RSA"]
    processes = start(2)
    began = time.monotonic()
    for process in processes:
        process.send("bad_tokens", provider="acme", count=5000, threads=4, kid=kid)
    ended = [each for process in processes for each in process.answer()]
    allowed = 1 + int((time.monotonic() - began) / 30)
    assert sum(each["signature"] for each in ended) == 10_000
    assert 1 <= len(upstream.requests("/jwks")) - 1 <= allowed


@pytest.mark.django_db(transaction=True)
def test_100_threads_of_one_process_on_local_memory(sso, start):
    [process] = start(1)
    assert process.ask("drive", domain=DOMAIN, threads=100) == ["ready"] * 100
    assert fetches(sso) == [1, 1, 1]
