"""Each check of an ID token is broken alone, and it is that check which refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.openid.key_set import STRANGERS, KeySet, KeySetInvalid
from django_lazyauth.openid.provider_kinds import ALGORITHMS
from django_lazyauth.openid.rules import Documents, parse
from django_lazyauth.openid.verify import IdTokenRejected
from django_lazyauth.providers.profile import read_profile
from tests.support.examples import examples
from tests.support.id_tokens import (
    ISSUER,
    JWKS,
    KEYS,
    NONCE,
    NOW,
    OTHER_KEY,
    PRIVATE_KEYS,
    PROVIDER,
    TENANTS,
    encode,
    good_claims,
    public_jwk,
    sign,
    sign_raw,
    verify,
)

SECOND = int(NOW.timestamp())


def reason_of(token, **options) -> str:
    with pytest.raises(IdTokenRejected) as caught:
        verify(token, **options)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", list(PRIVATE_KEYS))
def test_a_good_token_says_who_it_is(algorithm):
    """OpenID Connect Core §3.1.3.7."""
    claims = good_claims(auth_time=SECOND - 5, amr=["pwd", "otp"], acr="2", hd="acme.example")
    identity = verify(sign(claims, algorithm=algorithm))
    assert (identity.issuer, identity.subject, identity.tenant) == (ISSUER, "person-1", "")
    assert identity.auth_time == datetime.fromtimestamp(SECOND - 5, UTC)
    assert (identity.amr, identity.acr, identity.claims["hd"]) == (("pwd", "otp"), "2", "acme.example")
    assert identity.claims["email"] == "person@acme.example"


# --- The envelope -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "malformed"),
        ("a.b", "malformed"),
        ("a.b.c.d", "malformed"),
        ("a.b.c.d.e", "encrypted"),
        (None, "malformed"),
        (b"bytes", "malformed"),
        ("a" * 65_537, "too_large"),
        (f"{encode('{}')}.{encode('[1]')}.AA", "malformed"),
        (f"{encode('[')}.{encode('{}')}.AA", "malformed"),
        (f"{encode('[' * 5000)}.{encode('{}')}.AA", "malformed"),
        (encode(b"\xff\xfe") + ".e30.AA", "malformed"),
        ("é.é.é", "malformed"),
        ("\ud800.a.a", "malformed"),
    ],
)
def test_what_is_not_a_compact_jws_is_refused(token, reason):
    """RFC 7515 §7.1."""
    assert reason_of(token) == reason


@pytest.mark.parametrize(("is_discovered", "kib"), [(False, 64), (True, 16)])
def test_a_token_of_the_limit_passes_and_a_longer_one_does_not(is_discovered, kib):
    """Spec: 64 KiB of a configured provider, 16 KiB of a stranger's."""
    provider = replace(PROVIDER, is_discovered=is_discovered)
    padding = (kib * 1024 - len(sign(good_claims(filler="")))) * 3 // 4
    at_limit = sign(good_claims(filler="x" * (padding - 4)))
    assert kib * 1024 - 16 < len(at_limit) <= kib * 1024
    assert verify(at_limit, provider=provider).subject == "person-1"
    longer = sign(good_claims(filler="x" * (padding + 8)))
    assert reason_of(longer, provider=provider) == "too_large"


def test_the_algorithm_none_is_refused():
    """RFC 8725 §3.2."""
    payload = encode(json.dumps(good_claims()))
    for name in ("none", "None", "NONE", ""):
        header = encode(json.dumps({"alg": name, "kid": "kid-RS256"}))
        assert reason_of(f"{header}.{payload}.") == "alg"


def test_a_token_signed_by_hmac_with_the_public_key_is_refused():
    """RFC 8725 §2.1: the classic confusion of RS256 and HS256."""
    header, payload = encode('{"alg":"HS256","kid":"kid-RS256"}'), encode(json.dumps(good_claims()))
    secret = json.dumps(JWKS["keys"][0]).encode()
    mac = jwt.get_algorithm_by_name("HS256").sign(f"{header}.{payload}".encode(), secret)
    assert reason_of(f"{header}.{payload}.{encode(mac)}") == "alg"


HMACS = [("HS256", 32), ("HS384", 48), ("HS512", 64)]


def with_secret(algorithm, length, **more):
    config = {"issuer": ISSUER, "client_id": "us", "client_secret": "s" * length, "algorithms": [algorithm]}
    return descriptor_from_settings("acme", {**config, **more})


@pytest.mark.parametrize(("algorithm", "length"), HMACS)
def test_a_token_signed_with_the_secret_is_good_where_the_operator_names_the_algorithm(algorithm, length):
    """OpenID Connect Core §3.1.3.7, step 8."""
    provider = with_secret(algorithm, length)
    token = sign(good_claims(), algorithm=algorithm, key=b"s" * length)
    assert verify(token, provider=provider, keys=KeySet()).subject == "person-1"
    other = sign(good_claims(), algorithm=algorithm, key=b"t" * length)
    assert reason_of(other, provider=provider, keys=KeySet()) == "signature"
    assert reason_of(token, provider=replace(provider, algorithms=ALGORITHMS)) == "alg"
    assert reason_of(sign(good_claims()), provider=provider) == "alg"


@pytest.mark.parametrize(("algorithm", "length"), HMACS)
def test_a_secret_shorter_than_the_hash_is_an_error(algorithm, length):
    """RFC 7518 §3.2."""
    with pytest.raises(DescriptorError, match="too short for HS"):
        with_secret(algorithm, length - 1)
    with pytest.raises(DescriptorError, match="too short for HS"):
        with_secret(algorithm, length, client_secret=None)


def test_no_key_of_a_set_is_a_secret():
    """A provider that publishes an octet key publishes its secret."""
    keys = KeySet.from_jwks({"keys": [{"kty": "oct", "kid": "kid-HS256", "k": encode("s" * 32)}]})
    assert len(keys) == 0
    with pytest.raises(IdTokenRejected, match="alg"):
        keys.select("kid-HS256", "HS256")


def test_an_algorithm_the_provider_is_not_configured_for_is_refused():
    """RFC 8725 §3.1: the header never decides."""
    only_rs256 = replace(PROVIDER, algorithms=("RS256",))
    assert reason_of(sign(good_claims(), algorithm="ES256"), provider=only_rs256) == "alg"


def test_an_algorithm_that_is_not_the_keys_own_is_refused():
    """RFC 8725 §3.1: one key, one algorithm."""
    token = sign(good_claims(), algorithm="PS256", key=PRIVATE_KEYS["RS256"], header={"kid": "kid-RS256"})
    assert reason_of(token) == "alg"
    assert reason_of(sign(good_claims(), algorithm="ES256", header={"kid": "kid-RS256"})) == "alg"


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "crit", "b64"])
def test_a_header_that_brings_a_key_or_an_extension_is_refused(name):
    """OpenID Connect Core §2, RFC 7515 §4.1.11."""
    value = {"jwk": public_jwk(OTHER_KEY, "kid-RS256", "RS256"), "crit": ["exp"], "b64": False}.get(name, "x")
    assert reason_of(sign(good_claims(), header={name: value})) == "header"
    assert reason_of(sign(good_claims(), header={name: value}, key=OTHER_KEY)) == "header"


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", 7, None])
def test_another_kind_of_token_is_refused(kind):
    """RFC 8725 §3.11, RFC 9068 §2.1."""
    assert reason_of(sign(good_claims(), header={"typ": kind})) == "typ"


def test_a_logout_token_is_refused():
    """OpenID Connect Back-Channel Logout §2.4."""
    events = {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert reason_of(sign(good_claims(events=events))) == "typ"


def test_a_token_without_typ_is_an_id_token():
    """RFC 7519 §5.1: typ is optional."""
    assert verify(sign(good_claims(), header={"typ": ...})).subject == "person-1"
    assert verify(sign(good_claims(), header={"typ": "jwt"})).subject == "person-1"


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_changed_part_breaks_the_signature(part):
    """RFC 7515 §5.2."""
    parts = sign(good_claims()).split(".")
    replacement = {
        0: encode(json.dumps({"alg": "RS256", "kid": "kid-RS256"})),
        1: encode(json.dumps(good_claims(sub="somebody else"))),
        2: encode(b"\0" * 256),
    }
    parts[part] = replacement[part]
    assert reason_of(".".join(parts)) == "signature"


@pytest.mark.parametrize("algorithm", list(PRIVATE_KEYS))
@pytest.mark.parametrize("signature", [b"", b"\0", b"\0" * 64, b"\xff" * 300])
def test_a_signature_of_any_shape_is_refused(algorithm, signature):
    """RFC 7515 §5.2; also the all-zero signature of ECDSA."""
    head, payload, _ = sign(good_claims(), algorithm=algorithm).split(".")
    assert reason_of(f"{head}.{payload}.{encode(signature)}") == "signature"


def test_a_member_that_is_there_twice_is_refused():
    """RFC 7519 §4."""
    doubled = json.dumps(good_claims())[:-1] + ', "sub": "somebody else"}'
    header = json.dumps({"alg": "RS256", "kid": "kid-RS256"})
    assert reason_of(sign_raw(header, doubled)) == "malformed"


# --- Keys -------------------------------------------------------------------------------------------------


def test_an_unknown_kid_has_a_reason_of_its_own():
    """I15: it is the one reason for which keys are fetched."""
    assert reason_of(sign(good_claims(), header={"kid": "kid-of-tomorrow"})) == "unknown_kid"
    assert reason_of(sign(good_claims()), keys=KeySet()) == "unknown_kid"


@pytest.mark.parametrize("kid", [..., None])
def test_a_token_without_kid_needs_a_set_of_one_key(kid):
    """OpenID Connect Core §10.1."""
    token = sign(good_claims(), header={"kid": kid})
    assert reason_of(token) == "kid"
    assert verify(token, keys=KeySet.from_jwks({"keys": [JWKS["keys"][0]]})).subject == "person-1"


@pytest.mark.parametrize("kid", [7, ["kid-RS256"], {}, True])
def test_a_kid_that_is_not_a_string_is_refused(kid):
    """RFC 7515 §4.1.4."""
    assert reason_of(sign(good_claims(), header={"kid": kid})) == "kid"


def test_a_kid_shared_by_two_fitting_keys_is_refused():
    """RFC 7517 §4.5: which of them would be a guess."""
    twins = {"keys": [JWKS["keys"][0], public_jwk(OTHER_KEY, "kid-RS256", "RS256")]}
    assert reason_of(sign(good_claims()), keys=KeySet.from_jwks(twins)) == "kid"


def test_a_kid_shared_by_keys_of_two_kinds_is_resolved_by_the_algorithm():
    """RFC 7517 §4.5."""
    keys = KeySet.from_jwks(
        {"keys": [{**key, "kid": "same"} for key in JWKS["keys"] if key["alg"] != "PS256"]}
    )
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert verify(sign(good_claims(), algorithm=algorithm, header={"kid": "same"}), keys=keys)


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "XYZ"},
        {"kty": None},
        {"d": "AAAA"},
        {"n": "AQAB"},
        {"n": 7},
        {"n": "?"},
        {"e": "AQ"},
        {"e": "A" * 4000},
        {"kty": "EC", "crv": "P-521"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
    ],
)
def test_a_key_that_must_not_verify_is_skipped(change):
    """RFC 7517 §4.2, §4.3: encryption keys, private keys, weak keys, points off the curve."""
    assert len(KeySet.from_jwks({"keys": [{**JWKS["keys"][0], **change}, JWKS["keys"][2]]})) == 1


def test_a_huge_modulus_is_skipped():
    """A modulus of 16,384 bits would keep us busy for each token."""
    assert len(KeySet.from_jwks({"keys": [{**JWKS["keys"][0], "n": encode(b"\xff" * 2048)}]})) == 0


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, "not_a_key_set"),
        ([], "not_a_key_set"),
        ({}, "not_a_key_set"),
        ({"keys": {}}, "not_a_key_set"),
        ({"keys": [JWKS["keys"][0]] * 101}, "too_many_keys"),
        ({"keys": [{"kty": "RSA", "x5c": ["A" * 525_000]}]}, "too_large"),
        ({"keys": [object()]}, "not_a_key_set"),
    ],
)
def test_what_is_no_key_set_is_told_so(document, reason):
    """Spec: at most 512 KiB and 100 keys."""
    with pytest.raises(KeySetInvalid) as caught:
        KeySet.from_jwks(document)
    assert caught.value.reason == reason


def test_strangers_may_have_less():
    """Spec: 32 KiB and 20 keys."""
    key = JWKS["keys"][0]
    assert len(KeySet.from_jwks({"keys": [key] * 20}, STRANGERS)) == 20
    with pytest.raises(KeySetInvalid, match="too_many_keys"):
        KeySet.from_jwks({"keys": [key] * 21}, STRANGERS)
    with pytest.raises(KeySetInvalid, match="too_large"):
        KeySet.from_jwks({"keys": [{"kty": "RSA", "x5c": ["A" * 33_000]}]}, STRANGERS)


def test_keys_that_cannot_be_used_do_not_count():
    """Spec: usable keys are counted, others skipped."""
    encryption = {**JWKS["keys"][0], "use": "enc"}
    keys = KeySet.from_jwks({"keys": [encryption] * 200 + [JWKS["keys"][0]] * 100})
    assert len(keys) == 100


def test_members_that_are_no_keys_are_skipped():
    assert len(KeySet.from_jwks({"keys": [None, 1, "x", [], {}, *JWKS["keys"]]})) == len(JWKS["keys"])


# --- Claims -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [..., None, "", 7, [ISSUER], ISSUER + "/", "https://ID.example", "http://id.example", "x" * 256],
)
def test_the_issuer_is_compared_exactly(issuer):
    """OpenID Connect Core §3.1.3.7 (2)."""
    assert reason_of(sign(good_claims(iss=issuer))) == "iss"


@pytest.mark.parametrize(
    "audience", [..., None, "", [], {}, "other", ["other"], ["us", 7], [["us"]], 7, "us "]
)
def test_the_audience_has_to_hold_us(audience):
    """OpenID Connect Core §3.1.3.7 (3)."""
    assert reason_of(sign(good_claims(aud=audience))) == "aud"


@pytest.mark.parametrize("audience", ["us", ["us"]])
def test_one_audience_may_be_a_string_or_an_array(audience):
    """RFC 7519 §4.1.3."""
    assert verify(sign(good_claims(aud=audience))).subject == "person-1"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["us", "other"]},
        {"aud": ["us", "other"], "azp": "other"},
        {"aud": "us", "azp": "other"},
        {"aud": "us", "azp": None},
        {"aud": "us", "azp": ["us"]},
    ],
)
def test_the_authorized_party_has_to_be_us(claims):
    """OpenID Connect Core §3.1.3.7 (4, 5)."""
    assert reason_of(sign(good_claims(**claims))) == "azp"


def test_several_audiences_pass_where_we_are_the_authorized_party():
    """OpenID Connect Core §3.1.3.7 (4, 5)."""
    assert verify(sign(good_claims(aud=["other", "us"], azp="us"))).subject == "person-1"


NO_TIMES = [..., None, True, False, "1", [], {}, -1, 10**400, 10**30, 253402300800]


@pytest.mark.parametrize("value", NO_TIMES)
@pytest.mark.parametrize("name", ["exp", "iat"])
def test_a_time_that_is_no_time_is_refused(name, value):
    """RFC 7519 §2: a NumericDate. Overflow-safe."""
    assert reason_of(sign(good_claims(**{name: value}))) == name


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 5000])
@pytest.mark.parametrize("name", ["exp", "iat", "auth_time", "nbf"])
def test_a_number_that_overflows_is_refused(name, number):
    """RFC 8259 §6."""
    payload = json.dumps(good_claims(**{name: "@"})).replace('"@"', number)
    token = sign_raw('{"alg":"RS256","kid":"kid-RS256"}', payload)
    assert reason_of(token, max_age=60) in {"malformed", "not_fresh", name}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": SECOND - 59}, None),
        ({"exp": SECOND - 60}, "exp"),
        ({"iat": SECOND + 60}, None),
        ({"iat": SECOND + 61}, "iat"),
        ({"iat": SECOND - 600}, None),
        ({"iat": SECOND - 601}, "too_old"),
        ({"nbf": SECOND + 60}, None),
        ({"nbf": SECOND + 61}, "nbf"),
        ({"exp": SECOND + 300.5, "iat": SECOND - 0.5}, None),
    ],
)
def test_clocks_may_differ_by_a_minute_and_a_token_is_good_for_ten(claims, reason):
    """Spec: 60 s of leeway, a token older than 10 minutes is refused."""
    token = sign(good_claims(**claims))
    if reason is None:
        assert verify(token).subject == "person-1"
    else:
        assert reason_of(token) == reason


@pytest.mark.parametrize("nonce", [..., None, "", "other", NONCE + "x", 7, [NONCE]])
def test_the_nonce_has_to_be_the_one_sent(nonce):
    """I9, OpenID Connect Core §3.1.3.7 (11)."""
    assert reason_of(sign(good_claims(nonce=nonce))) == "nonce"


def test_no_nonce_is_asked_for_where_none_was_sent():
    assert verify(sign(good_claims(nonce=...)), nonce=None).subject == "person-1"


@pytest.mark.parametrize("subject", [..., None, "", ["x"], "x" * 256])
def test_the_subject_is_a_string_of_at_most_255_characters(subject):
    """OpenID Connect Core §2."""
    assert reason_of(sign(good_claims(sub=subject))) == "sub"
    assert verify(sign(good_claims(sub="x" * 255))).subject == "x" * 255


@pytest.mark.parametrize("subject", ["a\0b", "\ud800", True, 1.5, "x" * 256])
def test_a_subject_that_no_column_can_hold_is_refused(subject):
    """I5, I18."""
    assert reason_of(sign(good_claims(sub=subject))) == "sub"


def test_a_subject_that_is_an_integer_is_its_digits():
    assert verify(sign(good_claims(sub=7))).subject == "7"


def test_a_subject_may_be_of_another_claim_of_the_token():
    provider = replace(PROVIDER, subject=parse({"join": ["tid", "oid"], "with": ":", "all": True}))
    identity = verify(sign(good_claims(tid="t", oid=7)), provider=provider)
    assert (identity.subject, identity.sub) == ("t:7", "person-1")
    assert reason_of(sign(good_claims(tid="t")), provider=provider) == "sub"


@pytest.mark.parametrize(
    "claims",
    [
        {"name": "\ud800"},
        {"email": "a@b\0"},
        {"acr": "\0"},
        {"groups": ["ok", {"deep": "\udfff"}]},
        {"x\0y": 1},
        {"deep": json.loads("[" * 50 + "]" * 50)},
        {"email": 7, "email_verified": "odd", "name": ["x"]},
        {"amr": ["\0"]},
    ],
)
def test_an_odd_claim_that_nobody_needs_refuses_nobody(claims):
    """Spec 9. What is kept of the claims is in tests/providers/test_profile.py."""
    identity = verify(sign(good_claims(**claims)))
    assert (identity.subject, identity.acr, identity.amr) == ("person-1", "", ())


ODD_TIMES = [True, "1", str(SECOND), -1, 10**30, SECOND + 61, SECOND + 10**6, [SECOND], {}]


@pytest.mark.parametrize("value", ODD_TIMES)
def test_an_auth_time_that_is_no_time_is_left_out_where_nobody_asked_for_it(value):
    """OpenID Connect Core §2: it is optional then, so nobody is refused for it."""
    assert verify(sign(good_claims(auth_time=value))).auth_time is None


@pytest.mark.parametrize("value", ODD_TIMES)
def test_an_auth_time_that_is_no_time_is_refused_where_it_was_asked_for(value):
    """OpenID Connect Core §3.1.2.1: max_age asks for it."""
    assert reason_of(sign(good_claims(auth_time=value)), max_age=100) == "auth_time"


def test_an_auth_time_with_a_fraction_is_a_time():
    """RFC 7519 §2: a NumericDate may have one."""
    token = sign(good_claims(auth_time=SECOND - 5.5))
    assert verify(token).auth_time == verify(token, max_age=100).auth_time == NOW - timedelta(seconds=5.5)


def test_an_older_sign_in_than_asked_for_is_refused():
    """OpenID Connect Core §3.1.3.7 (13)."""
    token = sign(good_claims(auth_time=SECOND - 200))
    assert reason_of(token, max_age=100) == "not_fresh"
    assert verify(token, max_age=150).auth_time == NOW - timedelta(seconds=200)
    assert reason_of(sign(good_claims()), max_age=100) == "not_fresh"


@pytest.mark.parametrize("value", ["pwd", None, 7, [7, "", "x" * 65], ["x"] * 17])
def test_methods_that_are_none_are_left_out(value):
    """RFC 8176: informative, so nobody is refused for it."""
    assert verify(sign(good_claims(amr=value, acr=7))).amr == ()


# --- Tenants ----------------------------------------------------------------------------------------------


def tenant_claims(tenant, **changes):
    return good_claims(**{"iss": f"https://login.example/{tenant}/v2.0", "tid": tenant, **changes})


def test_a_tenant_fills_the_issuer():
    """I19."""
    identity = verify(sign(tenant_claims("tenant-a")), provider=TENANTS)
    assert (identity.issuer, identity.tenant) == ("https://login.example/tenant-a/v2.0", "tenant-a")


def test_a_tenant_cannot_speak_for_another():
    """I19."""
    assert reason_of(sign(tenant_claims("tenant-a", tid="tenant-b")), provider=TENANTS) == "iss"


@pytest.mark.parametrize(
    "tenant",
    [
        ...,
        None,
        "",
        7,
        ["tenant-a"],
        "..",
        ".",
        "a/b",
        "a?b",
        "a#b",
        "{tid}",
        "a b",
        "a\n",
        "x" * 129,
        "é",
        "%2e",
    ],
)
def test_a_tenant_that_is_no_clean_string_is_refused(tenant):
    """I19: it must not open a path, a query or another placeholder."""
    token = sign(tenant_claims(tenant if isinstance(tenant, str) else "tenant-a", tid=tenant))
    assert reason_of(token, provider=TENANTS) == "tenant"


def test_a_key_of_one_tenant_signs_for_that_tenant_only():
    """I19: a key set may say whose a key is."""
    key = JWKS["keys"][0]
    theirs = KeySet.from_jwks({"keys": [{**key, "issuer": "https://login.example/tenant-b/v2.0"}]})
    everybodys = KeySet.from_jwks({"keys": [{**key, "issuer": "https://login.example/{tenantid}/v2.0"}]})
    token = sign(tenant_claims("tenant-a"))
    assert reason_of(token, provider=TENANTS, keys=theirs) == "iss"
    assert verify(token, provider=TENANTS, keys=everybodys).tenant == "tenant-a"


# --- Anything ---------------------------------------------------------------------------------------------

TOKEN = sign(good_claims(groups=["a"], auth_time=SECOND))


@hypothesis_settings(max_examples=examples(200), deadline=None)
@given(position=st.integers(0, len(TOKEN) - 1), replacement=st.text(max_size=4))
def test_a_mutated_token_is_refused_and_nothing_else_happens(position, replacement):
    """I18: only IdTokenRejected, whatever arrives."""
    mutated = TOKEN[:position] + replacement + TOKEN[position + 1 :]
    try:
        verify(mutated)
    except IdTokenRejected:
        return
    # The last character of a base64 text may carry unused bits, and a mutation may be none.
    assert position == len(TOKEN) - 1 or mutated == TOKEN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = ["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "email", "email_verified", "name", "tid"]
CLAIMS += ["auth_time", "amr", "acr", "events", "x"]


@hypothesis_settings(max_examples=examples(200), deadline=None)
@given(
    claims=st.dictionaries(st.sampled_from(CLAIMS), JSON, max_size=4),
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), JSON, max_size=2),
)
def test_signed_nonsense_is_refused_or_believed_and_nothing_else_happens(claims, header):
    """I18: a signature does not make an upstream sane."""
    head = {"alg": "RS256", "kid": "kid-RS256", **header}
    token = sign_raw(json.dumps(head), json.dumps(good_claims(**claims)))
    for provider in (PROVIDER, TENANTS):
        try:
            identity = verify(token, provider=provider)
        except IdTokenRejected:
            continue
        json.dumps([identity.subject, identity.tenant, identity.acr, identity.amr]).encode("utf-8", "strict")
        assert "\0" not in identity.subject + identity.acr + "".join(identity.amr)


OPTIONAL = ["email", "email_verified", "name", "auth_time", "amr", "acr", "groups", "azp_of", "\0"]


@hypothesis_settings(max_examples=examples(200), deadline=None)
@given(claims=st.dictionaries(st.sampled_from(OPTIONAL), JSON | st.just("\0\ud800"), max_size=4))
def test_no_optional_claim_keeps_anybody_out(claims):
    """Spec 9. What is made of the claims is in ``tests/providers/test_profile.py``."""
    token = sign_raw('{"alg":"RS256","kid":"kid-RS256"}', json.dumps(good_claims(**claims), allow_nan=True))
    assume(
        "NaN" not in json.dumps(claims) and "Infinity" not in json.dumps(claims)
    )  # RFC 8259 §6: that is no JSON.
    identity = verify(token)
    assert identity.subject == "person-1"
    profile = read_profile(Documents(id_token=identity.claims), PROVIDER)
    json.dumps(
        [profile.email, profile.name, dict(profile.claims)], ensure_ascii=False, allow_nan=False
    ).encode()


def test_verification_knows_neither_django_nor_http():
    """Architecture: keys in, identity out."""
    code = (
        "import sys, django_lazyauth.openid.verify as v; "
        "bad = {'django', 'urllib3', 'requests', 'httpx', 'django_lazyauth.conf'} & set(sys.modules); "
        "sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_is_parsed_once_per_content():
    assert KeySet.from_jwks(JWKS).keys[0].public is KEYS.keys[0].public
