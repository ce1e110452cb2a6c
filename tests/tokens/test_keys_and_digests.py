"""Keys that we sign with, and what is signed with them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from django.core.exceptions import ImproperlyConfigured
from jwt import PyJWK

from django_lazyauth.tokens import keys as tokens
from django_lazyauth.tokens.logout_token import read_hint


def pem(key, encryption=None) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    ).decode()


KEYS = {
    "RS256": pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "ES256": pem(ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": pem(ed25519.Ed25519PrivateKey.generate()),
}
MEMBERS = {"RS256": ("e", "kty", "n"), "ES256": ("crv", "kty", "x", "y"), "EdDSA": ("crv", "kty", "x")}
ISSUER = "https://auth.example"


@pytest.fixture
def keys(lazyauth):
    """Three keys; the RSA one signs."""
    lazyauth(SIGNING_KEYS=list(KEYS.values()))


# -- parsing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_algorithm_follows_the_key(algorithm):
    """Spec 6."""
    key = tokens.parse_signing_key(KEYS[algorithm])
    assert key.algorithm == algorithm
    assert key.public_jwk["alg"] == algorithm
    assert key.public_jwk["use"] == "sig"


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_key_id_is_the_thumbprint(algorithm):
    """RFC 7638 §3: the same in every process, and nobody has to choose it."""
    key = tokens.parse_signing_key(KEYS[algorithm])
    canonical = json.dumps(
        {name: key.public_jwk[name] for name in MEMBERS[algorithm]}, sort_keys=True, separators=(",", ":")
    )
    digest = hashlib.sha256(canonical.encode()).digest()
    assert key.kid == key.public_jwk["kid"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret-that-is-no-key",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXRoYXQtaXMtbm8ta2V5\n-----END PRIVATE KEY-----\n",
        "é",
        pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ec.generate_private_key(ec.SECP256K1())),
        pem(dsa.generate_private_key(1024)),
        pem(x25519.X25519PrivateKey.generate()),
        pem(ed25519.Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"x")),
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    ],
    ids=["empty", "text", "garbage", "odd", "rsa1024", "p384", "k1", "dsa", "x25519", "encrypted", "public"],
)
def test_a_key_that_cannot_sign_is_a_wrong_setting_and_is_not_quoted(text):
    """I13: the message goes to logs."""
    with pytest.raises(ImproperlyConfigured) as raised:
        tokens.parse_signing_key(text)
    shown = f"{raised.value!r} {raised.value.__cause__!r}"
    for line in text.splitlines():
        assert not line or line not in shown
    assert "secret" not in shown


def test_a_key_shows_nothing_of_itself():
    """I13."""
    key = tokens.parse_signing_key(KEYS["RS256"])
    number = key.private_key.private_numbers().d
    for shown in (repr(key), str(key), f"{[key]}"):
        assert key.kid in shown
        assert str(number) not in shown
        assert "private" not in shown.lower()


def test_a_key_is_parsed_once():
    """Architecture: parsing an RSA key costs more than an exchange."""
    assert tokens.parse_signing_key(KEYS["RS256"]) is tokens.parse_signing_key(KEYS["RS256"])


# -- choosing --------------------------------------------------------------------------------------------


def test_the_first_key_signs_and_a_client_may_have_chosen_another(keys):
    """Spec 6."""
    assert [key.algorithm for key in tokens.signing_keys()] == ["RS256", "ES256", "EdDSA"]
    assert tokens.key_for().algorithm == "RS256"
    assert tokens.key_for("").algorithm == "RS256"
    assert tokens.key_for("ES256").algorithm == "ES256"
    assert tokens.key_for("HS256").algorithm == "RS256"
    assert tokens.key_for("none").algorithm == "RS256"


def test_of_two_keys_of_one_algorithm_the_first_signs(lazyauth):
    """Spec 6: retired keys stay published."""
    retired = pem(ec.generate_private_key(ec.SECP256R1()))
    lazyauth(SIGNING_KEYS=[KEYS["ES256"], retired])
    assert tokens.key_for("ES256").kid == tokens.parse_signing_key(KEYS["ES256"]).kid
    assert [key["kid"] for key in tokens.public_key_set()["keys"]] == [
        tokens.parse_signing_key(each).kid for each in (KEYS["ES256"], retired)
    ]


def test_without_keys_nothing_is_signed(lazyauth):
    lazyauth(SIGNING_KEYS=[])
    assert tokens.public_key_set() == {"keys": []}
    with pytest.raises(ImproperlyConfigured):
        tokens.key_for()


def test_a_site_that_has_only_the_toolkits_setting_signs_with_that(lazyauth, settings):
    """Spec 5: an existing site adds us without a new key."""
    lazyauth(SIGNING_KEYS=[])
    retired = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    settings.OAUTH2_PROVIDER = {
        "OIDC_RSA_PRIVATE_KEY": KEYS["RS256"],
        "OIDC_RSA_PRIVATE_KEYS_INACTIVE": [retired],
    }
    assert tokens.key_for().kid == tokens.parse_signing_key(KEYS["RS256"]).kid
    assert len(tokens.signing_keys()) == 2
    lazyauth(SIGNING_KEYS=[KEYS["ES256"]])
    assert [key.algorithm for key in tokens.signing_keys()] == ["ES256"]


# -- signing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", KEYS)
def test_what_is_signed_verifies_with_what_is_published(keys, algorithm):
    """RFC 7515, RFC 7517."""
    token = tokens.sign({"sub": "ada"}, key=tokens.key_for(algorithm), typ="at+jwt")
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"]) == (algorithm, "at+jwt")
    [published] = [key for key in tokens.public_key_set()["keys"] if key["kid"] == header["kid"]]
    assert jwt.decode(token, PyJWK.from_dict(dict(published)), algorithms=[algorithm]) == {"sub": "ada"}


def test_nothing_private_is_published(keys):
    """RFC 7517 §9.3."""
    published = tokens.public_key_set()["keys"]
    assert len(published) == 3
    for key in published:
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set(key)
    json.dumps([dict(key) for key in published])


# -- hints -----------------------------------------------------------------------------------------------


CLAIMS = {"iss": ISSUER, "sub": "7", "aud": "client", "iat": 1, "exp": 2}


def hint(algorithm="RS256", **claims):
    return tokens.sign(CLAIMS | claims, key=tokens.key_for(algorithm), typ="JWT")


def subject_of_hint(token):
    found = read_hint(token)
    return found.subject if found else None


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_subject_of_our_own_id_token_is_read_even_when_it_has_expired(keys, algorithm):
    """OpenID Connect Core §3.1.2.1: id_token_hint need not be current, nor be for this client."""
    assert subject_of_hint(hint(algorithm)) == "7"
    assert subject_of_hint(hint(algorithm, exp=1, iat=0, aud=["other"])) == "7"


def test_a_retired_key_that_is_still_published_counts(keys, lazyauth):
    """Spec 6."""
    old = hint("RS256")
    lazyauth(SIGNING_KEYS=[KEYS["ES256"], KEYS["RS256"]])
    assert subject_of_hint(old) == "7"
    lazyauth(SIGNING_KEYS=[KEYS["ES256"]])
    assert subject_of_hint(old) is None


def test_a_hint_that_is_not_ours_names_nobody(keys, caplog):
    """OpenID Connect Core §3.1.2.1; threat model: alg none, HS256 with the public key, another issuer."""
    key = tokens.key_for("RS256")
    header = {"kid": key.kid}
    claims = CLAIMS
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "kid": key.kid}, claims)
    )
    confused = base64.urlsafe_b64encode(hmac.digest(public, unsigned.encode(), "sha256")).decode().rstrip("=")
    good = hint()
    assert subject_of_hint(good) == "7"
    for forged in (
        jwt.encode(claims, stranger, algorithm="RS256", headers=header),
        jwt.encode(claims, None, algorithm="none", headers=header),
        jwt.encode(claims, key.private_key, algorithm="RS256"),
        jwt.encode(claims, key.private_key, algorithm="RS384", headers=header),
        jwt.encode(claims, key.private_key, algorithm="RS256", headers={"kid": tokens.key_for("ES256").kid}),
        f"{unsigned}.{confused}",
        hint(iss="https://evil.test"),
        hint(sub=None),
        hint(sub=7),
        good[:-6] + "AAAAAA",
        good.rpartition(".")[0] + ".",
        good + ".x",
        "",
        ".",
        "..",
        "a.b.c",
        "é",
        "\x00",
        "e30." * 1000,
        base64.urlsafe_b64encode(b'{"kid": ["x"], "alg": "RS256"}').decode().rstrip("=") + ".e30.x",
        base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=") + ".e30.x",
        base64.urlsafe_b64encode(b"[]").decode().rstrip("=") + ".e30.x",
        base64.urlsafe_b64encode(b"\xff").decode().rstrip("=") + ".e30.x",
    ):
        assert subject_of_hint(forged) is None, forged[:80]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "typ", ["at+jwt", "application/at+jwt", "logout+jwt", "AT+JWT", "", "jose", None, 7, ["JWT"]]
)
def test_what_we_sign_beside_id_tokens_is_no_hint(keys, typ):
    """RFC 8725 §3.11: an access token or a logout token names a subject, too."""
    key = tokens.key_for()
    claims = CLAIMS
    assert subject_of_hint(hint()) == "7"
    token = jwt.encode(claims, key.private_key, algorithm="RS256", headers={"kid": key.kid, "typ": typ})
    assert subject_of_hint(token) is None


def test_a_hint_without_an_issuer_names_nobody(keys):
    """OpenID Connect Core §2: iss is required."""
    claims = {name: value for name, value in CLAIMS.items() if name != "iss"}
    token = tokens.sign(claims, key=tokens.key_for(), typ="JWT")
    assert subject_of_hint(token) is None
