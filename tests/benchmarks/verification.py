"""ID tokens, verified: the whole pipeline beside the bare signature check, and beside a key fetch per sign-in."""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
import subprocess
import sys
from functools import partial
from importlib import import_module
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from django.conf import settings
from django.test import override_settings

from django_lazyauth.openid import key_fetch
from django_lazyauth.providers.registry import get_provider
from tests.support.id_tokens import PRIVATE_KEYS, good_claims, sign, verify
from tests.support.journey import query_of
from tests.support.upstream import ROOT, Upstream

from .harness import Side

#: Runs of one sample: a signature check takes too little time to be timed alone.
BATCH = 50


def pipeline_sides(algorithm: str) -> tuple[Side, Side]:
    """Ours: :func:`verify_id_token`, every check of it. The peer: the signature, by ``cryptography`` alone."""
    token = sign(good_claims(), algorithm=algorithm)
    signed, _, encoded = token.rpartition(".")
    signature = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    check = _raw_check(algorithm, signed.encode(), signature)

    def ours(_):
        for _ in range(BATCH):
            assert verify(token).subject == "person-1"

    def peer(_):
        for _ in range(BATCH):
            check()

    return Side(prepare=range, run=ours), Side(prepare=range, run=peer)


def _raw_check(algorithm, signed, signature):
    public = PRIVATE_KEYS[algorithm].public_key()
    if algorithm == "RS256":
        return partial(public.verify, signature, signed, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "ES256":
        # Tokens carry r and s side by side (RFC 7518 §3.4); turning them into DER is part of the check.
        def check():
            numbers = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
            public.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA256()))

        return check
    return partial(public.verify, signature, signed)


# -- a sign-in at a configured provider ----------------------------------------------------------------------


def sign_in_sides() -> tuple[Side, Side]:
    """Ours: the provider's stored keys, one SELECT. The peer: django-allauth, which fetches them each time.

    Both check the same token of a provider process on loopback: over the Internet a fetch takes longer.
    """
    jwtkit = _allauths()
    upstream = _start_provider()
    settings.LAZYAUTH = {
        **settings.LAZYAUTH,
        "ALLOW_LOOPBACK_UPSTREAMS": True,
        "PROVIDERS": {**settings.LAZYAUTH["PROVIDERS"], "acme": upstream.config()},
    }
    key_fetch.refresh(key_fetch.configured_descriptor("acme"), force=True)
    token = _token_of(upstream)
    fetched = len(upstream.requests("/jwks"))

    def ours(_):
        verified = get_provider("acme").verify(token, nonce="n")
        assert verified.subject == "person-1"

    def peer(_):
        claims = jwtkit.verify_and_decode(
            credential=token,
            keys_url=f"{upstream.issuer}/jwks",
            issuer=upstream.issuer,
            audience=upstream.client_id,
            lookup_kid=jwtkit.lookup_kid_jwk,
        )
        assert claims["sub"] == "person-1"

    def check():
        # All fetches are the peer's.
        assert len(upstream.requests("/jwks")) > fetched

    return Side(prepare=range, run=ours), Side(prepare=range, run=peer, check=check)


def _allauths():
    """Return django-allauth's module for ID tokens. It wants its apps while it is imported, and no longer."""
    middleware = [*settings.MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
    apps = [*settings.INSTALLED_APPS, "allauth", "allauth.account", "allauth.socialaccount"]
    with override_settings(MIDDLEWARE=middleware), override_settings(INSTALLED_APPS=apps):
        return import_module("allauth.socialaccount.internal.jwtkit")


def _start_provider() -> Upstream:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.provider_process"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.stdin.close)
    return Upstream(int(process.stdout.readline()))


def _token_of(upstream: Upstream) -> str:
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "client_id": upstream.client_id,
        "redirect_uri": "https://auth.example/callback/acme",
        "response_type": "code",
        "scope": "openid",
        "state": "s",
        "nonce": "n",
        "code_challenge": challenge,
    }
    answer = upstream.authorize(f"{upstream.issuer}/authorize?{urlencode(query)}")
    form = {
        "grant_type": "authorization_code",
        "code": query_of(answer)["code"],
        "redirect_uri": query["redirect_uri"],
        "client_id": upstream.client_id,
        "client_secret": upstream.client_secret,
        "code_verifier": verifier,
    }
    _, _, body = upstream._request("POST", "/token", urlencode(form))
    return json.loads(body)["id_token"]
