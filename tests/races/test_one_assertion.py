"""Copies of one client assertion at once, in many processes: one is taken."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest
from oauth2_provider.models import RefreshToken

from django_lazyauth.models import UsedProof
from tests.conftest import register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, code_for, redeem
from tests.support.racers import racer

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

VENDORS = {"postgresql", "mysql"}
PROCESSES = 4
COPIES = 50


def statuses_of(post: list) -> Counter:
    """Send copies of *post* from four processes at once, and count the statuses of the answers."""
    shares = [COPIES // PROCESSES + (number < COPIES % PROCESSES) for number in range(PROCESSES)]
    with ExitStack() as stack:
        racers = [stack.enter_context(racer(work="post", posts=[post] * share)) for share in shares]
        for one in racers:
            one.go()
        return Counter(status for one in racers for status, _ in one.result())


@pytest.mark.slow
def test_i25_of_copies_at_once_one_is_taken():
    """RFC 7523 §3: whoever copied an assertion on its way has it too late, or in its place. Never as well."""
    register(client_id="keyed-client", client_type="confidential")
    key = ClientKey("ES256")
    give_keys("keyed-client", key)
    form = {"token": "x"} | key.form("keyed-client")
    assert statuses_of(["/introspect", form]) == {200: 1, 401: COPIES - 1}
    assert UsedProof.objects.count() == 1


@pytest.mark.slow
def test_i25_copies_of_a_whole_token_request_at_once_end_nothing():
    """RFC 7523 §3, I2, I10: a proxy sent it again. Code and refresh token were used, but not by a thief."""
    register(client_id="keyed-client", client_type="confidential")
    key = ClientKey("ES256")
    give_keys("keyed-client", key)
    client = OAuthClient("keyed-client")
    form = client.token_form(code_for(client)) | key.form("keyed-client")
    assert statuses_of(["/token", form]) == {200: 1, 401: COPIES - 1}
    assert RefreshToken.objects.filter(revoked=None).count() == 1
    token = redeem(client, code_for(client), **key.form("keyed-client")).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token} | key.form("keyed-client")
    assert statuses_of(["/token", form]) == {200: 1, 401: COPIES - 1}
    assert RefreshToken.objects.filter(revoked=None).count() == 2


def test_a_refused_assertion_leaves_the_code_to_the_next(client_):
    """Spec 8.1: its failure touches no code."""
    register(client_id="keyed-client", client_type="confidential")
    key = ClientKey("ES256")
    give_keys("keyed-client", key)
    client = OAuthClient("keyed-client")
    code = code_for(client)
    form = key.form("keyed-client")
    assert redeem(client, "another", **form).status_code == 400
    assert redeem(client, code, **form).status_code == 401, "it was used"
    assert redeem(client, code, **key.form("keyed-client")).status_code == 200
