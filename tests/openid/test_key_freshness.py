"""Keys of a configured provider stay fresh because people sign in: no cron, no Celery."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.openid import key_fetch, stored_keys
from django_lazyauth.providers.registry import get_provider
from tests.support.celery_workers import WORKER, broker, celery, wait_for
from tests.support.site_processes import starting

__all__ = ["broker", "celery"]

pytestmark = pytest.mark.django_db(transaction=True)

JWKS = "/jwks"


def descriptor():
    return key_fetch.configured_descriptor("acme")


def row():
    return ProviderKeySet.objects.get(pk="acme")


def kids(stored):
    return {key.kid for key in stored.keys.keys}


def stored_kids():
    return kids(stored_keys.load(descriptor()))


def fetches(upstream):
    return len(upstream.requests(JWKS))


def age(**how_long):
    """Let the stored keys be of an answer that long ago. Their freshness of five minutes began then."""
    then = timezone.now() - timedelta(**how_long)
    fresh_until = then + timedelta(minutes=5)
    ProviderKeySet.objects.update(fetched_at=then, fresh_until=fresh_until, next_refresh_at=fresh_until)


@pytest.fixture
def seeded(upstream):
    """Keys were fetched, and the provider has others since."""
    key_fetch.refresh(descriptor())
    upstream.control(rotate_keys=True)
    return upstream


def test_fresh_keys_are_not_fetched(seeded):
    age(minutes=4)
    before = stored_kids()
    assert kids(stored_keys.load_or_fetch(descriptor())) == before
    assert fetches(seeded) == 1


def test_stale_keys_are_served_at_once_and_refreshed_behind(seeded):
    age(minutes=30)
    before = stored_kids()
    seeded.control(hold_documents=True)
    began = time.monotonic()
    assert [kids(stored_keys.load_or_fetch(descriptor())) for _ in range(20)] == [before] * 20
    assert time.monotonic() - began < 1
    seeded.control(hold_documents=False)
    wait_for(lambda: stored_kids() != before)
    assert fetches(seeded) == 2


def test_old_keys_are_refreshed_before_they_are_used(seeded):
    age(hours=1, minutes=6)
    before = stored_kids()
    assert before.isdisjoint(kids(stored_keys.load_or_fetch(descriptor())))
    assert fetches(seeded) == 2


def test_nobody_waits_longer_than_two_seconds_for_old_keys(seeded):
    age(hours=3)
    before = stored_kids()
    seeded.control(hold_documents=True)
    began = time.monotonic()
    assert kids(stored_keys.load_or_fetch(descriptor())) == before
    assert 1.5 < time.monotonic() - began < 3.5
    seeded.control(hold_documents=False)
    wait_for(lambda: stored_kids() != before)


def test_old_keys_are_used_while_the_provider_is_down_and_nobody_waits_for_the_next_try(seeded):
    age(hours=3)
    before = stored_kids()
    seeded.control(down=True)
    assert kids(stored_keys.load_or_fetch(descriptor())) == before
    assert row().failures == 1
    assert row().last_error in {"connect", "broken"}
    asked, began = len(seeded.requests()), time.monotonic()
    assert [kids(stored_keys.load_or_fetch(descriptor())) for _ in range(10)] == [before] * 10
    assert time.monotonic() - began < 1
    assert len(seeded.requests()) == asked


def test_a_refresh_of_a_killed_process_is_replaced_after_a_minute(seeded):
    age(hours=3)
    ProviderKeySet.objects.update(refreshing_until=timezone.now() + timedelta(seconds=30))
    stored_keys.load_or_fetch(descriptor())
    assert fetches(seeded) == 1
    ProviderKeySet.objects.update(refreshing_until=timezone.now() - timedelta(seconds=1))
    stored_keys.load_or_fetch(descriptor())
    assert fetches(seeded) == 2


def test_keys_of_a_day_ago_are_not_believed_and_the_first_answer_heals(seeded):
    """Spec: ``keys_stale``."""
    age(hours=25)
    seeded.control(down=True)
    with pytest.raises(ProviderUnavailable, match="keys_stale"):
        get_provider("acme").prepare()
    with pytest.raises(SourceFailed, match="keys_stale"):
        stored_keys.load_or_fetch(descriptor())
    seeded.control(down=False)
    ProviderKeySet.objects.update(next_refresh_at=timezone.now())
    assert get_provider("acme").prepare() is None
    assert row().failures == 0


def test_an_unchanged_key_set_is_believed_again(upstream):
    """RFC 9110 §15.4.5: 304 is an answer."""
    key_fetch.refresh(descriptor())
    age(hours=25)
    assert stored_keys.load_or_fetch(descriptor()) is not None
    assert upstream.requests(JWKS)[1]["headers"]["if-none-match"]
    assert timezone.now() - row().fetched_at < timedelta(minutes=1)


def test_how_long_keys_are_believed_can_be_an_hour(seeded, lazyauth):
    lazyauth(PROVIDER_KEYS_MAX_AGE=3600)
    age(hours=1, seconds=1)
    seeded.control(down=True)
    with pytest.raises(SourceFailed, match="keys_stale"):
        stored_keys.load_or_fetch(descriptor())


def test_a_withdrawn_key_is_refused_after_two_hours_without_cron(upstream):
    """Its owner was reachable, and nobody signed in meanwhile."""
    upstream.control(cache_control="max-age=3600")
    key_fetch.refresh(descriptor())
    token = upstream.id_token()
    assert get_provider("acme").verify(token, nonce="n").subject == "person-1"
    upstream.control(rotate_keys=True)
    age(hours=2)
    # An unknown key would be asked for: that is another way to new keys.
    ProviderKeySet.objects.update(unknown_kid_at=timezone.now())
    with pytest.raises(IdentityRejected, match="unknown_kid"):
        get_provider("acme").verify(token, nonce="n")


def test_a_row_of_an_earlier_version_is_refreshed(seeded):
    ProviderKeySet.objects.update(fresh_until=None, next_refresh_at=timezone.now())
    before = stored_kids()
    assert kids(stored_keys.load_or_fetch(descriptor())) == before
    wait_for(lambda: stored_kids() != before)


@pytest.mark.parametrize(("hours", "ids"), [(11, []), (13, ["lazyauth.W042"])])
def test_the_check_warns_at_half_of_the_time(seeded, hours, ids):
    age(hours=hours)
    found = run_checks(tags=["database"], databases=["default"])
    assert [one.id for one in found if one.id == "lazyauth.W042"] == ids
    assert run_checks(tags=["database"], databases=[]) == []
    seeded.control(down=True)
    with pytest.raises(CommandError):
        call_command("refresh_provider_keys", "acme")
    found = run_checks(tags=["database"], databases=["default"])
    assert all(row().last_error in one.msg for one in found)


@pytest.fixture
def start():
    """Start processes of the site; they end with the test."""
    with starting() as start:
        yield start


def test_one_of_all_processes_refreshes_and_the_others_do_not_wait(seeded, start):
    age(minutes=30)
    before = sorted(stored_kids())
    processes = start(4)
    seeded.control(hold_documents=True)
    for process in processes:
        process.send("load_keys", provider="acme", threads=8)
    assert [process.answer() for process in processes] == [[before] * 8] * 4
    seeded.control(hold_documents=False)
    wait_for(lambda: sorted(stored_kids()) != before)
    assert fetches(seeded) == 2


def test_all_processes_wait_for_the_one_that_refreshes_old_keys(seeded, start):
    age(hours=3)
    before = stored_kids()
    processes = start(4)
    for process in processes:
        process.send("load_keys", provider="acme", threads=8)
    loaded = [found for process in processes for found in process.answer()]
    assert len(loaded) == 32
    assert all(before.isdisjoint(found) for found in loaded)
    assert fetches(seeded) == 2


@pytest.mark.services
def test_a_worker_refreshes_stale_keys(seeded, celery, broker, lazyauth, start):
    """``DISCOVERY_RUNNER = "celery"``."""
    lazyauth(DISCOVERY_RUNNER="celery")
    celery(*WORKER)
    age(minutes=30)
    before = sorted(stored_kids())
    [web] = start(1, **broker)
    web.ask("reach_broker")
    assert web.ask("load_keys", provider="acme", threads=1) == [before]
    assert "lazyauth-keys" not in web.ask("threads")
    wait_for(lambda: sorted(stored_kids()) != before, seconds=40)
    assert fetches(seeded) == 2


@pytest.mark.services
def test_without_a_worker_old_keys_are_refreshed_by_the_process_itself(seeded, broker, lazyauth, start):
    lazyauth(DISCOVERY_RUNNER="celery")
    age(hours=3)
    before = stored_kids()
    [web] = start(1, **broker)
    assert before.isdisjoint(web.ask("load_keys", provider="acme", threads=1)[0])
