"""RFC 9449 with devices: a proof at the first request binds the tokens to its key (I24)."""

from __future__ import annotations

import jwt
import pytest

from django_lazyauth.models import DeviceAuthorization
from tests.support.devices import CLIENT_ID, answer, ask, poll
from tests.support.dpop import ProofKey
from tests.support.journey import ISSUER, make_browser, post_form

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("television")]

TOKEN = f"{ISSUER}/token"


def asked_with(key: ProofKey) -> dict:
    form = {"client_id": CLIENT_ID, "scope": "openid"}
    proof = key.proof(f"{ISSUER}/device_authorization")
    answered = post_form(make_browser(), "/device_authorization", form, headers={"dpop": proof})
    assert answered.status_code == 200, answered.content
    return answered.json()


def polled(asked, key: ProofKey | None, **claims):
    return poll(asked, headers={"dpop": key.proof(TOKEN, **claims)} if key else None)


def test_a_device_that_proves_a_key_gets_tokens_for_it():
    key = ProofKey()
    asked = asked_with(key)
    answer(make_browser(), asked)
    tokens = polled(asked, key)
    assert tokens.status_code == 200, tokens.content
    body = tokens.json()
    assert body["token_type"] == "DPoP"
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": key.thumbprint}


@pytest.mark.parametrize("thief", [None, ProofKey()], ids=["no-key", "another-key"])
def test_a_code_that_was_copied_is_worth_nothing_without_the_key(thief):
    """Spec 8.4: nothing is spent, and the device gets its tokens."""
    key = ProofKey()
    asked = asked_with(key)
    answer(make_browser(), asked)
    refused = polled(asked, thief)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert polled(asked, key).status_code == 200


def test_a_retry_needs_the_same_key_and_a_fresh_proof():
    """Spec 8.4, the grace; a copy of an earlier request ends nothing."""
    key = ProofKey()
    asked = asked_with(key)
    answer(make_browser(), asked)
    proof = key.proof(TOKEN)
    first = poll(asked, headers={"dpop": proof})
    assert first.status_code == 200
    assert poll(asked, headers={"dpop": proof}).json()["error"] == "invalid_dpop_proof"
    assert polled(asked, None).json()["error"] == "invalid_grant"
    assert polled(asked, ProofKey()).json()["error"] == "invalid_grant"
    again = polled(asked, key)
    assert again.content == first.content
    form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
    refreshed = post_form(
        make_browser(), "/token", form | {"client_id": CLIENT_ID}, headers={"dpop": key.proof(TOKEN)}
    )
    assert refreshed.status_code == 200, refreshed.content


def test_a_key_that_is_first_shown_at_the_redemption_binds_too():
    key = ProofKey()
    asked = ask().json()
    answer(make_browser(), asked)
    assert polled(asked, key).json()["token_type"] == "DPoP"


def test_a_bad_proof_is_refused_and_writes_no_device():
    form = {"client_id": CLIENT_ID}
    answered = post_form(make_browser(), "/device_authorization", form, headers={"dpop": "x.y.z"})
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_dpop_proof")
    assert not DeviceAuthorization.objects.exists()


def test_a_nonce_is_asked_for_and_uses_nothing_up(lazyauth):
    """RFC 9449 §8."""
    lazyauth(DPOP={"nonce": "always"})
    key, form = ProofKey(), {"client_id": CLIENT_ID}
    url = f"{ISSUER}/device_authorization"
    first = post_form(make_browser(), "/device_authorization", form, headers={"dpop": key.proof(url)})
    assert first.json()["error"] == "use_dpop_nonce"
    proof = key.proof(url, nonce=first.headers["DPoP-Nonce"])
    asked = post_form(make_browser(), "/device_authorization", form, headers={"dpop": proof})
    assert asked.status_code == 200
    assert asked.headers["DPoP-Nonce"]
    answer(make_browser(), asked.json())
    needed = polled(asked.json(), key)
    assert needed.json()["error"] == "use_dpop_nonce"
    assert polled(asked.json(), key, nonce=needed.headers["DPoP-Nonce"]).status_code == 200
