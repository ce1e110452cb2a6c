"""What the metadata says of signatures of clients: each algorithm is tried, named or not, with a key that fits it."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.conftest import register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.dpop import ProofKey, encoded, key_of, signed_with_secret

from .test_truth import wire  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

RSA = rsa.generate_private_key(65537, 2048)
OTHERS = {
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "RS384": RSA,
    "RS512": RSA,
    "PS384": RSA,
    "PS512": RSA,
}
ALGORITHMS = ["ES256", "PS256", "RS256", "EdDSA", "Ed25519", *OTHERS, "HS256", "none"]


def proof(algorithm: str, url: str) -> str:
    if algorithm == "HS256":
        key = key_of("ES256")
        now = int(time.time())
        return signed_with_secret(key, {"jti": "one", "htm": "POST", "htu": url, "iat": now})
    if algorithm == "none":
        good = key_of("ES256").proof(url, header={"alg": "none"})
        return f"{good.rpartition('.')[0]}."
    key = ProofKey(OTHERS[algorithm], algorithm) if algorithm in OTHERS else key_of(algorithm)
    return key.proof(url)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_proofs_are_taken_as_it_says(wire, client_, algorithm):  # noqa: F811 - the fixture
    """RFC 9449 §5.1: dpop_signing_alg_values_supported."""
    code = wire.answer(client_.authorize_query(), client_.redirect_uri)["code"]
    headers = {"DPoP": proof(algorithm, wire.document["token_endpoint"])}
    answer = wire.post("token_endpoint", client_.token_form(code), headers=headers)
    worked = answer.status_code == 200
    assert worked == (algorithm in wire.document["dpop_signing_alg_values_supported"])
    assert answer.json().get("token_type" if worked else "error") == (
        "DPoP" if worked else "invalid_dpop_proof"
    )


def assertion(algorithm: str, client_id: str, issuer: str) -> str:
    """Let the client use the key, and return a good assertion but for what *algorithm* is."""
    private = OTHERS.get(algorithm)
    known = algorithm not in ("HS256", "none")
    key = ClientKey(algorithm if known else "ES256", private=private)
    give_keys(client_id, key, grant_types=["client_credentials"])
    if known:
        return key.assertion(client_id, aud=issuer)
    text = key.assertion(client_id, aud=issuer, header={"alg": algorithm})
    return f"{text.rpartition('.')[0]}.{encoded(b'') if algorithm == 'none' else encoded(b'x' * 32)}"


@pytest.mark.parametrize("endpoint", ["token", "revocation", "introspection"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_assertions_are_taken_as_it_says(wire, endpoint, algorithm):  # noqa: F811 - the fixture
    """RFC 8414 §2: *_endpoint_auth_signing_alg_values_supported."""
    register(client_id="keyed", client_type="confidential")
    form = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(algorithm, "keyed", wire.document["issuer"]),
    }
    asked = (
        {"grant_type": "client_credentials", "scope": "profile"} if endpoint == "token" else {"token": "x"}
    )
    answer = wire.post(f"{endpoint}_endpoint", asked | form)
    named = algorithm in wire.document[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
    assert (answer.status_code == 200) == named
    assert named or (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
