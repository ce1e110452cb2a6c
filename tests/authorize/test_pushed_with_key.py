"""A key that is proved, or named, where a request is pushed: the code is bound to it (RFC 9449 §10)."""

from __future__ import annotations

import pytest

from django_lazyauth.models import PendingAuthorization, UsedProof
from tests.conftest import register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.dpop import ProofKey
from tests.support.journey import (
    ISSUER,
    OAuthClient,
    come_back,
    consent,
    get,
    make_browser,
    post_form,
    submit,
)
from tests.support.pushes import link, parameters, signed
from tests.web.site import answer_to

pytestmark = pytest.mark.django_db

PAR = f"{ISSUER}/par"
KEY, OTHER = ProofKey(), ProofKey()


def push(client, proof="", **changes):
    headers = {"dpop": proof} if proof else {}
    return post_form(make_browser(), "/par", parameters(client) | changes, headers=headers)


def code_of(client, answer):
    """Go the whole way from what was pushed."""
    assert answer.status_code == 201, answer.content
    browser = make_browser()
    page = get(browser, link(client.client_id, answer.json()["request_uri"]))
    answer = come_back(browser, submit(browser, page, provider="demo"), subject="ada")
    return answer_to(client, consent(browser, answer))["code"]


def redeem(client, code, key=None):
    headers = {"dpop": key.proof(f"{ISSUER}/token")} if key else {}
    return post_form(make_browser(), "/token", client.token_form(code), headers=headers)


@pytest.mark.parametrize("way", ["proof", "dpop_jkt", "both"])
def test_i24_a_key_at_the_push_binds_the_code(client_, way):
    """RFC 9449 §10, §10.1: another key, or none, gets nothing, and the code stays good."""
    changes = {} if way == "proof" else {"dpop_jkt": KEY.thumbprint}
    answer = push(client_, "" if way == "dpop_jkt" else KEY.proof(PAR), **changes)
    code = code_of(client_, answer)
    assert PendingAuthorization.objects.get().jkt == KEY.thumbprint
    for key in (None, OTHER):
        refused = redeem(client_, code, key)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    tokens = redeem(client_, code, KEY)
    assert (tokens.status_code, tokens.json()["token_type"]) == (200, "DPoP")


def test_i24_a_proof_and_a_thumbprint_agree(client_):
    """RFC 9449 §10.1."""
    answer = push(client_, KEY.proof(PAR), dpop_jkt=OTHER.thumbprint)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")


BAD = {
    "no JWT": lambda: "x",
    "another URL": lambda: KEY.proof(f"{ISSUER}/token"),
    "another method": lambda: KEY.proof(PAR, "GET"),
}


@pytest.mark.parametrize("made", BAD.values(), ids=BAD)
def test_a_proof_that_does_not_hold_is_refused(client_, made):
    """RFC 9449 §5: at the endpoint for pushed requests as at the token endpoint."""
    answer = push(client_, made())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")


def test_who_has_to_come_again_with_a_nonce_used_nothing_up(db, lazyauth):
    """RFC 9449 §8: neither the proof nor the client's assertion."""
    lazyauth(DPOP={"nonce": "always"})
    register(client_id="keyed-client", client_type="confidential")
    key, client = ClientKey(), OAuthClient("keyed-client")
    give_keys(client.client_id, key)
    form = key.form(client.client_id)
    answer = push(client, KEY.proof(PAR), **form)
    assert answer.json()["error"] == "use_dpop_nonce"
    assert not UsedProof.objects.exists()
    nonce = answer.headers["DPoP-Nonce"]
    answer = push(client, KEY.proof(PAR, nonce=nonce), **form)
    assert answer.status_code == 201
    assert answer.headers["DPoP-Nonce"]


def test_a_thumbprint_in_a_signed_request_agrees_too(db, lazyauth):
    """RFC 9101 §5: what is inside counts."""
    lazyauth(REQUEST_OBJECTS=True)
    register(client_id="signer")
    key, client = ClientKey(), OAuthClient("signer")
    give_keys("signer", key, token_endpoint_auth_method="none")
    request = signed(client, key, dpop_jkt=KEY.thumbprint)
    assert push(client, OTHER.proof(PAR), request=request).json()["error"] == "invalid_dpop_proof"
    code_of(client, push(client, request=request, dpop_jkt=OTHER.thumbprint))
    assert PendingAuthorization.objects.get().jkt == KEY.thumbprint
