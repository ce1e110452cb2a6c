"""Clients whose keys are at an address that they name: how often it is asked, and what waits for the answer."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import AccessToken, get_application_model

from django_lazyauth.clients import operator_actions
from django_lazyauth.clients.by_key import keys, signature
from django_lazyauth.clients.by_key.assertion import read_assertion
from django_lazyauth.clients.by_key.prove import prove_by_key
from django_lazyauth.errors import InvalidClient
from django_lazyauth.kit import cached_fetch
from django_lazyauth.models import UsedProof
from django_lazyauth.toolkit.clients import load_client
from django_lazyauth.upkeep.sweep import sweep
from tests.conftest import register
from tests.kit.test_fetch import NON_PUBLIC_ADDRESSES
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, code_for, get, make_browser, post_form, redeem
from tests.support.key_server import KeyServer

pytestmark = pytest.mark.django_db

KEY = ClientKey("ES256")


@pytest.fixture
def server(lazyauth):
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    running = KeyServer(KEY)
    yield running
    running.close()


@pytest.fixture
def keyed(server):
    """A stranger's client, whose keys are at :func:`server`."""
    return client_at(server.url())


def client_at(url, client_id="keyed-client", source="dcr", **members) -> OAuthClient:
    register(client_id=client_id, client_type="confidential", registration_source=source)
    give_keys(client_id, jwks_uri=url, token_endpoint_auth_method="private_key_jwt", **members)
    return OAuthClient(client_id)


def knock(client, key=KEY, **changes):
    form = {"token": "x", **key.form(client.client_id, **changes)}
    return post_form(make_browser(), "/introspect", form)


def test_the_keys_are_fetched_once_for_many_requests(server, keyed):
    """Spec 2: one fetch, however many wait."""
    answers = [knock(keyed).status_code for _ in range(5)]
    assert answers == [200] * 5
    assert server.asked == 1


def test_the_fetch_begins_when_a_person_does(server, keyed):
    """Spec 8.0: until they have signed in and consented, the keys are there."""
    get(make_browser(), f"/authorize?{keyed.authorize_query()}")
    until(lambda: server.asked == 1, "the keys are fetched")
    assert redeem(keyed, code_for(keyed), **KEY.form(keyed.client_id)).status_code == 200
    assert server.asked == 1


def test_a_rotated_key_is_found_by_its_id(server, keyed):
    """I15: a new key works at its first request, an old one ends with it."""
    assert knock(keyed).status_code == 200
    new = ClientKey("EdDSA", kid="key-2")
    server.keys = [new]
    cache_made_older(30)
    assert knock(keyed, new).status_code == 200
    assert knock(keyed).status_code == 401
    assert server.asked == 2


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
@pytest.mark.parametrize("kid", ["key-1", ""])
def test_i15_a_key_in_the_place_of_an_older_one_is_found_by_one_fetch(server, keyed, algorithm, kid):
    """Its id may be the same, or there is none. What no key signed causes no more fetches than an unknown id."""
    old, new = ClientKey("ES256", kid=kid), ClientKey(algorithm, kid=kid)
    server.keys = [old]
    assert knock(keyed, old).status_code == 200
    server.keys = [new]
    assert knock(keyed, new).status_code == 401, "fetched just now"
    cache_made_older(30)
    assert knock(keyed, new).status_code == 200
    assert server.asked == 2
    for _ in range(20):
        assert knock(keyed, old).status_code == 401
    assert server.asked == 2
    cache_made_older(30)
    for _ in range(20):
        assert knock(keyed, old).status_code == 401
    assert server.asked == 3


@pytest.mark.parametrize("kids", [("key-1", "key-1"), ("key-1", "key-2")])
@pytest.mark.parametrize("names_key", [True, False])
def test_a_key_that_is_listed_twice_is_one_key(server, keyed, kids, names_key):
    """RFC 7517 §4.5: a set may hold it by its old and its new name."""
    server.keys = [ClientKey("ES256", kid=kid, private=KEY.private) for kid in kids]
    assert knock(keyed, header={} if names_key else {"kid": ...}).status_code == 200


def test_two_keys_of_one_id_are_not_guessed_among(server, keyed):
    """RFC 7515 §4.1.4: which of them is meant, nobody says."""
    server.keys = [KEY, ClientKey("ES256")]
    assert knock(keyed).status_code == 401


@pytest.fixture
def slow(lazyauth):
    """A stranger's server that answers when its delay ends. It has two names."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    running = KeyServer(KEY)
    running.delay = 2
    yield running
    running.delay = 0
    until(lambda: not cached_fetch._threads._unfinished, "the fetches end")
    running.close()


def until(condition, words):
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, words
        time.sleep(0.01)


def test_an_operators_client_does_not_wait_behind_slow_hosts_of_strangers(server, slow):
    """Spec 8.0: strangers have a share of the threads that fetch, and each of their hosts a part of it."""
    for number in range(8):
        url = slow.url(f"/{number}")
        uri = url if number < 4 else url.replace("127.0.0.1", "localhost")
        client = client_at(uri, f"slow-{number}")
        keys.prefetch_keys(load_client(client.client_id))
    until(lambda: slow.asked == keys.STRANGERS_SHARE.threads, "two of each host are fetched")
    operators = client_at(server.url(), "operators", source="manual")
    assert knock(operators).status_code == 200
    assert slow.asked == keys.STRANGERS_SHARE.threads


def test_a_slow_host_is_not_in_the_way_of_another_strangers(server, keyed, slow):
    """Spec 8.0."""
    for number in range(12):
        client = client_at(slow.url(f"/{number}").replace("127.0.0.1", "localhost"), f"slow-{number}")
        keys.prefetch_keys(load_client(client.client_id))
    assert knock(keyed).status_code == 200
    assert slow.asked == keys.HOSTS_SHARE.threads


def cache_made_older(seconds):
    """Let the clock of the key cache go on."""
    before = keys.client_keys.clock
    keys.client_keys.clock = lambda: before() + seconds


@pytest.fixture(autouse=True)
def _clock():
    before = keys.client_keys.clock
    yield
    keys.client_keys.clock = before


def test_i15_unknown_key_ids_cause_one_fetch_in_30_seconds(server, keyed):
    """Each of them is refused all the same."""
    assert knock(keyed).status_code == 200
    assert server.asked == 1
    cache_made_older(31)
    for number in range(20):
        assert knock(keyed, header={"kid": f"unknown-{number}"}).status_code == 401
    assert server.asked == 2
    cache_made_older(31)
    for number in range(20):
        assert knock(keyed, header={"kid": f"unknown-{number}"}).status_code == 401
    assert server.asked == 3


@pytest.mark.slow
def test_i15_ten_thousand_unknown_key_ids_cause_one_fetch(server, keyed):
    """Also while the fetch is under way."""
    assert knock(keyed).status_code == 200
    cache_made_older(31)
    # However long the machine takes for them: all within the 30 seconds.
    at = keys.client_keys.clock()
    keys.client_keys.clock = lambda: at
    refused = 0
    for number in range(10_000):
        assertion = read_assertion(
            KEY.assertion(keyed.client_id, header={"kid": f"u{number}"}), timezone.now()
        )
        try:
            prove_by_key(assertion)
        except InvalidClient:
            refused += 1
    assert (refused, server.asked) == (10_000, 2)


def test_a_request_that_cannot_be_good_causes_no_fetch(server, keyed):
    """Spec 8.0: a fetch starts only when header and unverified claims fit."""
    for changes in (
        {"aud": "https://evil.test"},
        {"exp": int(time.time()) - 120},
        {"jti": ...},
        {"header": {"alg": "HS256"}},
        {"header": {"jku": "https://evil.test"}},
        {"header": {"typ": "at+jwt"}},
    ):
        assert knock(keyed, **changes).status_code == 401
    assert server.asked == 0


def test_a_slow_server_of_keys_costs_a_request_no_more_than_its_wait(server, keyed, monkeypatch):
    """Spec 8.0: 503 with Retry-After, never 202. The code still redeems."""
    monkeypatch.setattr(keys, "WAIT", 0.2)
    server.delay = 1.5
    code = code_for(keyed)
    began = time.monotonic()
    answer = redeem(keyed, code, **KEY.form(keyed.client_id))
    assert time.monotonic() - began < 1.4
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert not UsedProof.objects.exists()
    monkeypatch.setattr(keys, "WAIT", 5)
    assert redeem(keyed, code, **KEY.form(keyed.client_id)).status_code == 200
    assert server.asked == 1


def test_the_wait_of_a_request_is_5_seconds():
    assert keys.WAIT == 5


def test_nobody_waits_inside_a_transaction(transactional_db, server, keyed, monkeypatch):
    """No transaction spans a network call."""
    seen = []
    real = keys.wait_for

    def look(*args, **kwargs):
        seen.append(connection.in_atomic_block)
        return real(*args, **kwargs)

    monkeypatch.setattr(keys, "wait_for", look)
    code = code_for(keyed)
    cache.clear()
    assert redeem(keyed, code, **KEY.form(keyed.client_id)).status_code == 200
    assert seen == [False]


@pytest.fixture
def while_waiting(monkeypatch):
    """Returns a function whose argument is called between the fetch of keys and what follows."""

    def arrange(act):
        load_keys = signature.load_keys

        def loaded(*args, **kwargs):
            found = load_keys(*args, **kwargs)
            act()
            return found

        monkeypatch.setattr(signature, "load_keys", loaded)

    return arrange


def test_i21_a_client_that_is_disabled_while_its_keys_are_fetched_gets_nothing(server, while_waiting):
    """It decides itself how long its server takes."""
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
    )
    give_keys("machine", jwks_uri=server.url())
    pk = get_application_model().objects.get(client_id="machine").pk
    while_waiting(lambda: operator_actions.disable([pk]))
    form = {"grant_type": "client_credentials", "scope": "profile"} | KEY.form("machine")
    assert post_form(make_browser(), "/token", form).status_code == 401
    assert not AccessToken.objects.exists()


def test_i25_a_replay_that_waits_for_keys_is_refused_although_a_sweep_comes_first(
    server, keyed, while_waiting
):
    """It came within the leeway, and the clock of the sweep is ahead."""
    form = {"token": "x"} | KEY.form(keyed.client_id, exp=timedelta(seconds=-50))
    assert post_form(make_browser(), "/introspect", form).status_code == 200
    while_waiting(lambda: list(sweep(now=timezone.now() + timedelta(seconds=30))))
    assert post_form(make_browser(), "/introspect", form).status_code == 401


def test_a_server_of_keys_that_is_down_is_told_as_what_it_is(server, keyed):
    """The assertion may be good: 503, and no second try before the backoff."""
    server.status = 500
    for _ in range(3):
        answer = knock(keyed)
        assert answer.status_code == 503
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert server.asked == 1


@pytest.mark.parametrize(
    "body",
    [b"{}", b"x", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', b'{"keys": "x"}'],
    ids=repr,
)
def test_an_address_without_usable_keys_proves_nothing(server, keyed, body):
    server.body = body
    assert knock(keyed).status_code == 401


def test_a_key_set_of_a_stranger_is_small(server, keyed):
    """Spec 8.0: 32 KiB and 20 keys."""
    server.keys = [ClientKey("EdDSA", kid=f"k{number}") for number in range(21)]
    assert knock(keyed, server.keys[0]).status_code == 401
    other = client_at(server.url("/other"), "other")
    server.keys = server.keys[:20]
    assert knock(other, server.keys[0]).status_code == 200
    third = client_at(server.url("/third"), "third")
    server.body = json.dumps({"keys": [KEY.public_jwk], "padding": "x" * 32 * 1024}).encode()
    assert knock(third).status_code == 401


def test_a_private_key_at_the_address_is_not_used(server, keyed):
    """RFC 7517 §9.2: a published private key is no longer private."""
    server.body = json.dumps({"keys": [KEY.private_jwk]}).encode()
    assert knock(keyed).status_code == 401


def test_one_host_is_asked_ten_times_a_minute_whoever_names_it(server, keyed):
    """Spec 8.0: else strangers could have us knock at somebody else's server."""
    clients = [client_at(server.url(f"/{number}"), f"client-{number}") for number in range(12)]
    statuses = [knock(client).status_code for client in clients]
    assert statuses == [200] * 10 + [503] * 2
    assert server.asked == 10


def test_strangers_cannot_use_up_what_a_host_is_asked_for_others(server, keyed):
    """Neither for an operator's client, nor for a document whose keys are on its own host, such as ChatGPT's."""
    for number in range(11):
        knock(client_at(server.url(f"/{number}"), f"client-{number}"))
    assert knock(keyed).status_code == 503
    assert knock(client_at(server.url("/ours"), "ours", source="manual")).status_code == 200
    assert knock(client_at(server.url("/own"), server.url("/document"), source="cimd")).status_code == 200
    elsewhere = client_at(server.url("/theirs"), "https://client.example/document", source="cimd")
    assert knock(elsewhere).status_code == 503


def test_a_fetch_opens_its_socket_where_the_next_test_looks(keyed, opened):
    assert knock(keyed).status_code == 503
    assert opened


@pytest.mark.parametrize("address", [*NON_PUBLIC_ADDRESSES[:17], "[::1]", "[fd12:3456::1]", "localhost"])
def test_i14_keys_at_a_private_address_open_no_socket(db, opened, address):
    """The client is refused; nothing is told of what is there."""
    client = client_at(f"https://{address}/jwks")
    answer = knock(client)
    assert (answer.status_code, opened) == (401, [])


def test_an_operators_client_may_have_its_keys_inside(server, lazyauth):
    """Decision 99: who chose the address decides what may be fetched. Both know it by different names."""
    url = server.url()
    assert knock(client_at(url, "ours", source="manual")).status_code == 200
    assert knock(client_at(url, "theirs")).status_code == 200
    assert server.asked == 2


def test_without_a_cache_a_client_with_an_address_waits(server, keyed, settings):
    """Threat model: Redis down. Nothing is fetched that could not be shared."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    answer = knock(keyed)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert server.asked == 0


def test_many_requests_that_wait_share_one_fetch(transactional_db, server, keyed):
    server.delay = 0.5
    now = timezone.now()
    assertions = [read_assertion(KEY.assertion(keyed.client_id), now) for _ in range(8)]

    def prove(assertion):
        try:
            return prove_by_key(assertion).client.client_id
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(prove, assertions)) == {keyed.client_id}
    assert server.asked == 1
    assert get_application_model().objects.count() == 1
