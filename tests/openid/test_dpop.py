"""DPoP proofs (RFC 9449 §4.3): what is taken, and every way in which one is refused (I24)."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidDpopProof, UseDpopNonce
from django_lazyauth.kit.crypto.single_use import use_digest
from django_lazyauth.models import ProofKind, UsedProof
from django_lazyauth.openid.dpop import nonce as nonces
from django_lazyauth.openid.dpop.check import check_proof, digest_of_use, next_nonce, nonce_headers
from django_lazyauth.openid.dpop.proof import ALGORITHMS, Expected, Proof, verify_proof
from django_lazyauth.openid.dpop.target import is_target
from django_lazyauth.openid.jose import TokenRejected
from tests.support.dpop import ProofKey, encoded, key_of, signed_with_secret

URL = "https://auth.example.org/o/token/"
KEY = ProofKey()
SECRET = b"k" * 32


def verified(proof: str, **expected):
    wanted = {"method": "POST", "url": URL, "nonce_keys": (SECRET,)} | expected
    return verify_proof(proof, Expected(**wanted), datetime.now(UTC))


def reason_of(proof: str, **expected) -> str:
    with pytest.raises(TokenRejected) as refused:
        verified(proof, **expected)
    return str(refused.value.reason)


# -- what is taken ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_proof_of_each_algorithm_holds(algorithm):
    """RFC 9449 §4.3."""
    key = key_of(algorithm)
    found = verified(key.proof(URL, jti="one"))
    assert found == Proof(key.thumbprint, "one", has_nonce=False)


def test_the_thumbprint_is_that_of_the_example_of_the_rfc():
    """RFC 9449 §6.1: the key of figure 1 has this thumbprint."""
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    }
    from django_lazyauth.openid.dpop.key import read_own_key

    assert read_own_key(jwk, "ES256")[1] == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_proof_at_a_resource_is_for_one_access_token():
    """RFC 9449 §7.1: the hash of the token."""
    assert verified(KEY.proof(URL, access_token="t"), access_token="t").thumbprint == KEY.thumbprint
    assert reason_of(KEY.proof(URL, access_token="other"), access_token="t") == "ath"
    assert reason_of(KEY.proof(URL), access_token="t") == "ath"
    assert reason_of(KEY.proof(URL, ath=7), access_token="t") == "ath"


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": None}, "typ"),
        ({"typ": "JWT"}, "typ"),
        ({"typ": "at+jwt"}, "typ"),
        ({"typ": "client-authentication+jwt"}, "typ"),
        ({"alg": "none"}, "alg"),
        ({"alg": "HS256"}, "alg"),
        ({"alg": "ES384"}, "alg"),
        ({"alg": "RS256"}, "alg"),
        ({"jwk": None}, "key_set"),
        ({"jwk": "text"}, "key_set"),
        ({"jwk": {}}, "key_set"),
        ({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, "key_set"),
        ({"jwk": KEY.public | {"d": "AA"}}, "key_set"),
        ({"jwk": KEY.public | {"use": "enc"}}, "key_set"),
        ({"jwk": KEY.public | {"key_ops": ["sign"]}}, "key_set"),
        ({"jwk": KEY.public | {"crv": "P-384"}}, "key_set"),
        ({"jwk": KEY.public | {"x": KEY.public["y"]}}, "key_set"),
        ({"jwk": KEY.public | {"alg": "ES384"}}, "alg"),
        ({"jwk": ProofKey().public}, "signature"),
        ({"jku": "https://evil.example/"}, "header"),
        ({"x5c": ["AA"]}, "header"),
        ({"x5u": "https://evil.example/"}, "header"),
        ({"crit": ["exp"]}, "header"),
        ({"b64": False}, "header"),
        ({"zip": "DEF"}, "header"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) and "jwk" not in value else None,
)
def test_a_header_that_could_change_the_meaning_is_refused(header, reason):
    """RFC 9449 §4.3, RFC 8725 §3.1: the key in the proof is public and asymmetric, and signed it."""
    assert reason_of(KEY.proof(URL, header=header)) == reason


def test_the_public_key_as_a_secret_signs_nothing():
    """RFC 8725 §2.1."""
    claims = {"jti": "1", "htm": "POST", "htu": URL, "iat": int(time.time())}
    assert reason_of(signed_with_secret(KEY, claims)) == "alg"


@pytest.mark.parametrize("member", ["p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_key_with_any_private_member_is_refused(member):
    """RFC 9449 §4.3 (7): the private key must not be there."""
    key = key_of("RS256")
    assert reason_of(key.proof(URL, header={"jwk": key.public | {member: "AQAB"}})) == "key_set"


def test_one_key_has_one_thumbprint():
    """RFC 7638 §3: a key that is written with leading zeros would have another."""
    key = key_of("RS256")
    modulus = base64.urlsafe_b64decode(key.public["n"] + "==")
    padded = key.public | {"n": encoded(b"\0" + modulus)}
    assert reason_of(key.proof(URL, header={"jwk": padded})) == "key_set"
    x = base64.urlsafe_b64decode(KEY.public["x"] + "=")
    assert reason_of(KEY.proof(URL, header={"jwk": KEY.public | {"x": encoded(b"\0" + x)}})) == "key_set"
    # Members that do not make the key change nothing.
    more = KEY.public | {"kid": "mine", "use": "sig", "extra": 1}
    assert verified(KEY.proof(URL, header={"jwk": more})).thumbprint == KEY.thumbprint


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 256}, "jti"),
        ({"jti": 7}, "jti"),
        ({"htm": None}, "htm"),
        ({"htm": "GET"}, "htm"),
        ({"htm": "post"}, "htm"),
        ({"htu": None}, "htu"),
        ({"htu": ["https://auth.example.org/o/token/"]}, "htu"),
        ({"htu": "https://auth.example.org/o/revoke/"}, "htu"),
        ({"iat": None}, "iat"),
        ({"iat": "now"}, "iat"),
        ({"iat": True}, "iat"),
        ({"iat": 1e300}, "iat"),
        ({"jti": "a\0b"}, "unclean"),
        ({"nonce": ""}, "nonce"),
        ({"nonce": 7}, "nonce"),
        ({"nonce": "x" * 256}, "nonce"),
        ({"nonce": "\ud800"}, "unclean"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
def test_a_claim_that_does_not_fit_is_refused(claims, reason):
    """RFC 9449 §4.3."""
    assert reason_of(KEY.proof(URL, **claims)) == reason


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        ("", "malformed"),
        ("a.b", "malformed"),
        ("a.b.c.d.e", "encrypted"),
        ("x" * 9000, "too_large"),
        ("=.=.=", "malformed"),
        ("Ü.Ü.Ü", "malformed"),
    ],
)
def test_what_is_no_token_is_refused(proof, reason):
    """RFC 9449 §4.3 (2)."""
    assert reason_of(proof) == reason


def test_two_proofs_in_two_headers_are_none():
    """RFC 9449 §4.3 (1): servers join two headers of one name with a comma (RFC 9110 §5.3)."""
    assert reason_of(f"{KEY.proof(URL)},{KEY.proof(URL)}") in ("malformed", "encrypted")


@given(
    st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}")
)
def test_no_text_makes_the_check_fail(text):
    """I18: a value or a refusal, for every text."""
    with pytest.raises(TokenRejected):
        verified(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    header=st.dictionaries(st.sampled_from(["typ", "jwk", "alg", "kid", "crit"]), _JSON, min_size=1),
    claims=st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "nonce", "ath"]), _JSON, min_size=1),
)
def test_no_signed_nonsense_makes_the_check_fail(header, claims):
    """I18: who has a key may sign anything."""
    good = {"jti": "1", "htm": "POST", "htu": URL, "iat": time.time()}
    whole = {"typ": "dpop+jwt", "jwk": KEY.public, "alg": "ES256"}
    for sent in (KEY.sign(whole | header, good), KEY.sign(whole, good | claims)):
        try:
            found = verified(sent)
        except TokenRejected:
            continue
        assert found.thumbprint == KEY.thumbprint


# -- the URL ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "https://auth.example.org/o/token/",
        "HTTPS://AUTH.example.ORG/o/token/",
        "https://auth.example.org:443/o/token/",
        "https://auth.example.org/o/token/?a=b",
        "https://auth.example.org/o/token/#there",
        "https://auth.example.org/o/x/../token/",
        "https://auth.example.org/./o/token/.",
        "https://auth.example.org/%6f/token/",
        "https://auth.example.org/o/%2e/token/",
    ],
)
def test_the_same_url_may_be_written_in_several_ways(uri):
    """RFC 9449 §4.3, RFC 3986 §6.2.2 and §6.2.3."""
    assert is_target(uri, URL)


@pytest.mark.parametrize(
    "uri",
    [
        "http://auth.example.org/o/token/",
        "https://auth.example.org:8443/o/token/",
        "https://auth.example.org:0/o/token/",
        "https://auth.example.org.evil.test/o/token/",
        "https://evil.test/o/token/",
        "https://auth.example.org@evil.test/o/token/",
        "https://a:b@auth.example.org/o/token/",
        "https://auth.example.org/o/token",
        "https://auth.example.org/O/token/",
        "https://auth.example.org//o/token/",
        "https://auth.example.org/o/token/..",
        "https://auth.example.org/",
        "https://auth.example.org",
        "https://[::1/o/token/",
        "https://auth.example.org:x/o/token/",
        "https://auth.example.org\t/o/token/",
        " https://auth.example.org/o/token/",
        "https://auth.example.org/o/token/ ",
        "//auth.example.org/o/token/",
        "/o/token/",
        "",
        "https:///o/token/",
        "https://аuth.example.org/o/token/",
    ],
)
def test_another_url_is_another(uri):
    """RFC 9449 §4.3 (9), I24."""
    assert not is_target(uri, URL)


def test_what_a_server_sees_as_one_path_is_one():
    """Django decodes a path before it is looked at, so an encoded slash is a slash there."""
    assert is_target("https://a.example/x%2Fy/%C3%A9", "https://a.example/x/y/%C3%A9")
    assert is_target("https://a.example", "https://a.example/")
    # Nobody removes dot segments from a request that has them: they are not another path's.
    assert not is_target("https://a.example/b", "https://a.example/a/../b")


@given(st.text(max_size=60))
def test_no_url_makes_the_comparison_fail(uri):
    """I18."""
    assert is_target(uri, URL) in (True, False)


# -- time and nonces -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-295, 0, 295])
def test_a_proof_of_these_minutes_needs_no_nonce(seconds):
    """MCP SEP-1932: 300 s."""
    assert verified(KEY.proof(URL, iat=time.time() + seconds)).has_nonce is False


@pytest.mark.parametrize("seconds", [-3600, -302, 302, 3600])
def test_a_proof_of_a_wrong_clock_needs_a_nonce_and_then_holds(seconds):
    """RFC 9449 §8: a server that gives a nonce does not rely on the client's clock."""
    iat = time.time() + seconds
    assert reason_of(KEY.proof(URL, iat=iat)) == "nonce"
    nonce = nonces.nonce_at(SECRET, time.time())
    assert verified(KEY.proof(URL, iat=iat, nonce=nonce)).has_nonce is True


def test_each_proof_needs_a_nonce_where_the_site_says_so():
    """RFC 9449 §8."""
    assert reason_of(KEY.proof(URL), nonce_policy="always") == "nonce"
    nonce = nonces.nonce_at(SECRET, time.time())
    assert verified(KEY.proof(URL, nonce=nonce), nonce_policy="always").has_nonce is True


@pytest.mark.parametrize("age", range(-2, 7))
def test_a_nonce_is_good_in_its_step_and_four_more(age):
    """Every process knows the same ones, and remembers none. One may have a clock that is a step ahead."""
    now = time.time()
    nonce = nonces.nonce_at(SECRET, now - age * nonces.STEP)
    assert nonces.is_good(nonce, (b"x" * 32, SECRET), now) is (-1 <= age < 5)
    assert not nonces.is_good(nonce, (b"x" * 32,), now)


def test_a_nonce_of_another_server_is_none():
    """Even where the time is right: a nonce that was sent has to be ours (RFC 9449 §4.3 (10))."""
    other = nonces.nonce_at(b"x" * 32, time.time())
    assert reason_of(KEY.proof(URL, nonce=other)) == "nonce"


# -- under the settings of a site ------------------------------------------------------------------------------


def test_the_answer_names_the_nonce_and_the_log_the_reason(caplog):
    """RFC 9449 §8: ``use_dpop_nonce``. §5: ``invalid_dpop_proof``."""
    with pytest.raises(UseDpopNonce) as asked:
        check_proof(KEY.proof(URL, iat=1), method="POST", url=URL)
    nonce = asked.value.headers()["DPoP-Nonce"]
    found = check_proof(KEY.proof(URL, iat=1, nonce=nonce), method="POST", url=URL)
    assert nonce_headers(found) == {"DPoP-Nonce": next_nonce()}
    caplog.set_level("INFO", "django_lazyauth.dpop")
    with pytest.raises(InvalidDpopProof) as refused:
        check_proof(KEY.proof(URL), method="GET", url=URL)
    assert refused.value.as_dict() == {
        "error": "invalid_dpop_proof",
        "error_description": "The DPoP proof is not valid.",
    }
    assert [record.getMessage() for record in caplog.records] == ["a DPoP proof was refused: htm"]


def test_a_nonce_outlives_the_rotation_of_the_vault_keys(lazyauth):
    """A new key in front makes nonces; those of the one behind it are still good."""
    old, new = (f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("k1", "k2"))
    lazyauth(VAULT_KEYS=[old], DPOP={"nonce": "always"})
    nonce = next_nonce()
    lazyauth(VAULT_KEYS=[new, old], DPOP={"nonce": "always"})
    assert next_nonce() != nonce
    assert check_proof(KEY.proof(URL, nonce=nonce), method="POST", url=URL).has_nonce
    lazyauth(VAULT_KEYS=[new], DPOP={"nonce": "always"})
    with pytest.raises(UseDpopNonce):
        check_proof(KEY.proof(URL, nonce=nonce), method="POST", url=URL)
    assert nonce_headers(Proof("t", "j", has_nonce=False)) == {"DPoP-Nonce": next_nonce()}
    assert nonce_headers(None) == {}


def test_the_settings_are_two(lazyauth):
    assert (lazyauth_settings.dpop.required, lazyauth_settings.dpop.nonce) == (False, "stale")
    for wrong in ({"nonce": "never"}, {"required": 1}, {"nonces": "stale"}, []):
        lazyauth(DPOP=wrong)
        with pytest.raises(ImproperlyConfigured):
            _ = lazyauth_settings.dpop


def test_the_use_of_a_proof_is_that_of_its_key():
    """I24, I25: another key may have the same ``jti``, and so may another kind of statement."""
    one, other = Proof("a", "1", has_nonce=False), Proof("b", "1", has_nonce=False)
    assert digest_of_use(one) != digest_of_use(other)
    assert digest_of_use(one) != use_digest("client_assertion", "a", "1")
    assert use_digest("x", "ab", "c") != use_digest("x", "a", "bc")
    assertion = UsedProof.of(
        ProofKind.CLIENT_ASSERTION,
        signer="a",
        token_id="1",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    assert assertion.digest == use_digest("client_assertion", "a", "1")
