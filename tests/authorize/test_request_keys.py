"""Keys of signed requests at an address: who chooses it is a stranger, and whoever opens a URL has them fetched."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_lazyauth.clients.by_key import keys
from tests.clients.test_client_key_addresses import (  # noqa: F401 - fixtures
    cache_made_older,
    server,
    until,
)
from tests.conftest import register
from tests.kit.test_fetch import NON_PUBLIC_ADDRESSES
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, get, make_browser
from tests.support.pushes import push, signed, signed_link
from tests.web.site import is_choice_page

pytestmark = pytest.mark.django_db

KEY = ClientKey("ES256")


@pytest.fixture(autouse=True)
def _taken(lazyauth):
    lazyauth(REQUEST_OBJECTS=True)


def client_at(url) -> OAuthClient:
    register(client_id="signer", registration_source="dcr")
    give_keys("signer", jwks_uri=url, token_endpoint_auth_method="none")
    return OAuthClient("signer")


def show(client, request):
    return get(make_browser(), signed_link(client, request))


@pytest.fixture
def signer(server):  # noqa: F811 - the fixture
    server.keys = [KEY]
    return client_at(server.url())


def test_the_keys_are_fetched_once(signer, server):  # noqa: F811 - the fixture
    assert all(is_choice_page(show(signer, signed(signer, KEY))) for _ in range(3))
    assert push(signer, request=signed(signer, KEY)).status_code == 201
    assert server.asked == 1


BAD = {
    "audience": {"aud": "https://other.example"},
    "issuer": {"iss": "another"},
    "expired": {"exp": timedelta(hours=-1)},
    "kind": {"header": {"typ": "at+jwt"}},
    "algorithm": {"header": {"alg": "none"}},
    "an assertion": {"sub": "signer"},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_nothing_is_fetched_for_what_cannot_be_good(signer, server, changes):  # noqa: F811 - the fixture
    """Spec 8.0: a flight starts only when header and unverified claims fit."""
    assert show(signer, signed(signer, KEY, **changes)).status_code == 400
    assert push(signer, request=signed(signer, KEY, **changes)).status_code == 400
    assert server.asked == 0


def test_i15_unknown_keys_cause_one_fetch_in_30_s(signer, server):  # noqa: F811 - the fixture
    assert is_choice_page(show(signer, signed(signer, KEY)))
    for number in range(20):
        other = ClientKey("ES256", kid=f"other-{number}")
        assert show(signer, signed(signer, other)).status_code == 400
    asked = server.asked
    assert asked == 1, "fetched just now"
    cache_made_older(30)
    for number in range(20):
        other = ClientKey("ES256", kid=f"other-{number}")
        assert show(signer, signed(signer, other)).status_code == 400
    assert server.asked == asked + 1


@pytest.mark.parametrize("address", [*NON_PUBLIC_ADDRESSES[:17], "[::1]", "[fd12:3456::1]", "localhost"])
def test_i14_an_address_inside_opens_no_socket(db, opened, address):
    """A stranger's client must not have this site ask its own network."""
    client = client_at(f"https://{address}/keys")
    assert show(client, signed(client, KEY)).status_code == 400
    answer = push(client, request=signed(client, KEY))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request_object")
    assert opened == []


def test_keys_that_do_not_come_are_waited_for_and_then_come_later(signer, server, monkeypatch):  # noqa: F811 - the fixture
    """Spec 8.0: 503 with Retry-After. The same URL works once they are there: nothing was used."""
    monkeypatch.setattr(keys, "WAIT", 0.2)
    server.delay = 1.0
    request = signed(signer, KEY)
    answer = show(signer, request)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    answer = push(signer, request=request)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    until(lambda: is_choice_page(show(signer, request)), "the keys are there")
