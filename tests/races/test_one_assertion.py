"""Copies of one client assertion at once, in many processes: one is taken."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from django_lazyauth.models import UsedProof
from tests.conftest import register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, code_for, redeem
from tests.support.racers import racer

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

VENDORS = {"postgresql", "mysql"}
PROCESSES = 4
COPIES = 50


@pytest.mark.slow
def test_i25_of_copies_at_once_one_is_taken():
    """RFC 7523 §3: whoever copied an assertion on its way has it too late, or in its place. Never as well."""
    register(client_id="keyed-client", client_type="confidential")
    key = ClientKey("ES256")
    give_keys("keyed-client", key)
    form = {"token": "x"} | key.form("keyed-client")
    shares = [COPIES // PROCESSES + (number < COPIES % PROCESSES) for number in range(PROCESSES)]
    with ExitStack() as stack:
        racers = [
            stack.enter_context(racer(work="post", posts=[["/introspect", form]] * share)) for share in shares
        ]
        for one in racers:
            one.go()
        answers = [answer for one in racers for answer in one.result()]
    assert Counter(status for status, _ in answers) == {200: 1, 401: COPIES - 1}
    assert UsedProof.objects.count() == 1


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
