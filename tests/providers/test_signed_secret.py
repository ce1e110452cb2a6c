"""Secrets that are JWTs: signed here for each request, or made by an operator and read for their end."""

from __future__ import annotations

import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from django_lazyauth.checks.providers import check_providers
from django_lazyauth.openid.descriptor import descriptor_from_settings
from django_lazyauth.openid.requests import signing
from django_lazyauth.openid.requests.signing import secret_of
from django_lazyauth.providers.registry import get_provider
from tests.support.legs import bundle_of, leg

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
SIGNED = {"key": PEM, "key_id": "ABC123", "issuer": "TEAM123"}
DAY = 24 * 60 * 60


def read(secret, now=None):
    options = {"verify_exp": False, "verify_iat": False}
    return jwt.decode(
        secret, KEY.public_key(), ["ES256"], audience="https://appleid.apple.com", options=options
    )


def apple(**changes):
    entry = {"preset": "apple", "client_id": "us.example", "signed_secret": {**SIGNED, **changes}}
    return descriptor_from_settings("apple", entry)


@pytest.mark.django_db
def test_the_secret_is_signed_for_codes_and_refreshes(acme, upstream, pending):
    """What Apple asks for, without a secret that ends in the night."""
    public = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    acme(client_secret=None, signed_secret=SIGNED, token_endpoint_auth_method="client_secret_post")
    upstream.control(secret_key=public.decode())
    success = leg(upstream, pending)
    assert get_provider("acme").refresh(bundle_of(success.commit)).access_token
    sent = [entry["form"]["client_secret"] for entry in upstream.requests("/token")]
    assert [jwt.get_unverified_header(secret)["kid"] for secret in sent] == ["ABC123"] * 2
    assert PEM.splitlines()[1] not in repr(get_provider("acme").descriptor)


def test_a_signed_secret_has_the_claims_that_apple_names():
    claims = read(secret_of(apple()))
    assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == ("TEAM123", "us.example", 300)
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp"}


@pytest.mark.parametrize("lifetime", [120, 300, 15_777_000])
def test_a_signed_secret_is_kept_to_a_minute_before_its_end(monkeypatch, lifetime):
    descriptor, now = apple(lifetime=lifetime), time.time()
    ends = set()
    for step in range(20):
        moment = now + step * lifetime / 7
        monkeypatch.setattr(signing.time, "time", lambda moment=moment: moment)
        claims = read(secret_of(descriptor))
        assert claims["iat"] <= moment
        assert 59 < claims["exp"] - moment <= lifetime
        ends.add(claims["exp"])
    assert 2 < len(ends) < 20 or lifetime == 120
    assert secret_of(descriptor) == secret_of(descriptor)


@pytest.mark.parametrize(
    ("days", "expected"), [(-1, ["lazyauth.E021"]), (1, ["lazyauth.W016"]), (29, ["lazyauth.W016"]), (31, [])]
)
def test_an_operator_is_told_before_a_secret_ends(lazyauth, days, expected):
    secret = jwt.encode({"iss": "TEAM123", "exp": int(time.time()) + days * DAY}, KEY, "ES256")
    lazyauth(PROVIDERS={"it": {"preset": "apple", "client_id": "us", "client_secret": secret}})
    messages = list(check_providers())
    assert [message.id for message in messages] == expected
    assert all(secret not in message.msg and message.hint for message in messages)


@pytest.mark.parametrize(
    "secret", ["a.b.c", "x", "e30.e30.", "..", "e30.eyJleHAiOiAieCJ9.x", "e30.eyJleHAiOiAxZTk5fQ.x"]
)
def test_a_secret_that_is_no_jwt_has_no_end(lazyauth, secret):
    lazyauth(PROVIDERS={"it": {"preset": "apple", "client_id": "us", "client_secret": secret}})
    assert list(check_providers()) == []
