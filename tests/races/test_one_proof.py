"""Copies of one DPoP proof at once, in many processes: one is taken (I24)."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack

import pytest

from django_lazyauth.models import TokenFacts, UsedProof
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.dpop import ProofKey
from tests.support.journey import OAuthClient, code_for
from tests.support.racers import racer

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.slow]

VENDORS = {"postgresql", "mysql"}
PROCESSES = 4
COPIES = 100
TOKEN = "https://auth.example/token"


def answers_of(posts: list[list]) -> list[tuple[int, dict]]:
    """Send *posts* from four processes at once."""
    with ExitStack() as stack:
        racers = [
            stack.enter_context(racer(work="post", posts=share))
            for number in range(PROCESSES)
            if (share := posts[number::PROCESSES])
        ]
        for one in racers:
            one.go()
        return [(status, json.loads(body)) for one in racers for status, body in one.result()]


def race(posts: list[list]) -> Counter:
    """Do so, and count status and error of the answers."""
    return Counter((status, body.get("error")) for status, body in answers_of(posts))


def test_i24_of_copies_of_a_proof_at_once_one_is_taken():
    """RFC 9449 §11.1: a hundred good requests of one client, and one proof."""
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    form = {
        "grant_type": "client_credentials",
        "scope": "profile",
        "client_id": "machine",
        "client_secret": CONFIDENTIAL_SECRET,
    }
    proof = {"dpop": ProofKey().proof(TOKEN)}
    found = race([["/token", form, proof]] * COPIES)
    assert found == {(200, None): 1, (400, "invalid_dpop_proof"): COPIES - 1}
    assert UsedProof.objects.count() == TokenFacts.objects.count() == 1


def test_i24_codes_that_share_a_proof_redeem_one_and_keep_the_others(lazyauth):
    """Nothing of the losers is used up: each code is good with a proof of its own."""
    # A busy machine takes its time to start the processes.
    lazyauth(CODE_LIFETIME=600)
    register(client_id="public-client")
    key = ProofKey()
    clients = [OAuthClient("public-client", scope="openid") for _ in range(8)]
    forms = [client.token_form(code_for(client, subject=f"p{n}")) for n, client in enumerate(clients)]
    proof = {"dpop": key.proof(TOKEN)}
    found = race([["/token", form, proof] for form in forms])
    assert found == {(200, None): 1, (400, "invalid_dpop_proof"): 7}
    again = race([["/token", form, {"dpop": key.proof(TOKEN)}] for form in forms])
    # The one that was redeemed is a replay now, and ends its session (I2).
    assert again == {(200, None): 7, (400, "invalid_grant"): 1}
    assert UsedProof.objects.count() == 8


def test_i10_refreshes_at_once_with_proofs_of_one_key_are_one_successor():
    """Each with a proof of its own, as a client that tries again sends them."""
    register(client_id="public-client")
    client, key = OAuthClient("public-client", scope="openid"), ProofKey()
    proofs = ({"dpop": key.proof(TOKEN)} for _ in range(100))
    ((_, begun),) = answers_of([["/token", client.token_form(code_for(client)), next(proofs)]])
    form = {
        "grant_type": "refresh_token",
        "client_id": "public-client",
        "refresh_token": begun["refresh_token"],
    }
    answers = answers_of([["/token", form, next(proofs)] for _ in range(40)])
    assert {(status, body.get("token_type")) for status, body in answers} == {(200, "DPoP")}
    assert len({body["refresh_token"] for _, body in answers}) == 1
