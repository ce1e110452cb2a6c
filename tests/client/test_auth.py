"""``httpx`` with the token of an account: refreshed in time or after a 401, and with proofs where it is bound."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time

import httpx
import jwt
import pytest

from django_lazyauth.client import ClientError, LazyAuth, Provider, RefreshExpired
from django_lazyauth.client.proof import ProofKey
from tests.client.conftest import tokens


class Api(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """An API in this process that takes one token."""

    def __init__(self, good, nonce=None):
        self.good = good
        self.nonce = nonce
        self.seen = []

    def handle_request(self, request):
        self.seen.append((request.headers["Authorization"], request.read(), request.headers.get("DPoP")))
        proof = request.headers.get("DPoP")
        if (
            self.nonce is not None
            and jwt.decode(proof, options={"verify_signature": False}).get("nonce") != self.nonce
        ):
            challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": self.nonce}
            return httpx.Response(401, headers=challenge)
        is_good = request.headers["Authorization"].split()[1] == self.good
        return httpx.Response(200 if is_good else 401)

    async def handle_async_request(self, request):
        await request.aread()
        return self.handle_request(request)


def call(api, auth, url="https://api.example/things"):
    with httpx.Client(transport=api, auth=auth) as client:
        return client.post(url, content=b"body").status_code


def call_async(api, auth):
    async def calling():
        async with httpx.AsyncClient(transport=api, auth=auth) as client:
            return (await client.post("https://api.example/things", content=b"body")).status_code

    return asyncio.run(calling())


@pytest.mark.parametrize("calling", [call, call_async])
def test_a_401_is_answered_with_one_refresh_and_the_same_body(store, account, provider, server, calling):
    store.save("ada", account, tokens(expires_at=time.time() + 900))
    store.use("ada")
    api = Api("access-1")
    assert calling(api, LazyAuth(store, provider)) == 200
    assert [seen[:2] for seen in api.seen] == [("Bearer access-0", b"body"), ("Bearer access-1", b"body")]
    assert calling(api, LazyAuth(store, provider)) == 200
    assert len(server.forms) == 1


def test_a_token_about_to_end_is_refreshed_before_the_request(signed_in, provider):
    api = Api("access-1")
    assert call(api, LazyAuth(signed_in, provider)) == 200
    assert len(api.seen) == 1


def test_a_401_that_stays_is_returned_after_one_more_try(store, account, provider, server):
    store.save("ada", account, tokens(expires_at=time.time() + 900))
    api = Api("never")
    assert call(api, LazyAuth(store, provider, account="ada")) == 401
    assert (len(api.seen), len(server.forms)) == (2, 1)


def test_without_refresh_token_the_401_is_returned_and_a_dead_one_is_an_error(
    store, account, provider, server
):
    store.save("ada", account, tokens(refresh_token=None))
    assert call(Api("never"), LazyAuth(store, provider, account="ada")) == 401
    store.save("ada", account, tokens())
    server.answer = lambda _: (400, {"error": "invalid_grant"})
    with pytest.raises(RefreshExpired):
        call(Api("never"), LazyAuth(store, provider, account="ada"))


def test_a_bound_token_comes_with_a_proof_for_each_request_and_the_nonce_of_each_server(
    store, account, server
):
    key = ProofKey.generate()
    store.save("ada", account, tokens(expires_at=1.0, token_type="DPoP", proof_key=key))

    def answer(number):
        claims = jwt.decode(server.headers[-1]["DPoP"], options={"verify_signature": False})
        server.more_headers["DPoP-Nonce"] = "token-nonce"
        if claims.get("nonce") != "token-nonce":
            return 400, {"error": "use_dpop_nonce"}
        return 200, {"access_token": "access-1", "token_type": "DPoP", "expires_in": 900}

    server.answer = answer
    api = Api("access-1", nonce="api-nonce")
    assert call(api, LazyAuth(store, Provider(account), account="ada"), "https://api.example/a?b=c") == 200
    scheme, _, proof = api.seen[-1]
    public = jwt.PyJWK(jwt.get_unverified_header(proof)["jwk"], algorithm="ES256")
    claims = jwt.decode(proof, public.key, algorithms=["ES256"])
    assert scheme == "DPoP access-1"
    assert (claims["htm"], claims["htu"], claims["nonce"]) == ("POST", "https://api.example/a", "api-nonce")
    digest = hashlib.sha256(b"access-1").digest()
    assert claims["ath"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert len({seen[2] for seen in api.seen}) == len(api.seen) == 2
    assert len(server.forms) == 2


def test_a_token_is_not_sent_unencrypted(signed_in, provider):
    api = Api("access-1")
    with pytest.raises(ClientError):
        call(api, LazyAuth(signed_in, provider), "http://api.example/")
    assert api.seen == []
