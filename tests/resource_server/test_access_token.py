"""RFC 9068 §4, offline: keys in, token out. Each way in which something else may pass for an access token."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.jose import Reason, TokenRejected
from django_lazyauth.openid.key_set import KeySet
from tests.support.access_tokens import API, ISSUER, NOW, SESSION, check, good_claims, made
from tests.support.examples import examples
from tests.support.id_tokens import JWKS, OTHER_KEY, PRIVATE_KEYS, encode, public_jwk, sign_raw

LOGOUT_EVENT = {"http://schemas.openid.net/event/backchannel-logout": {}}


def refused(token, **how) -> Reason:
    with pytest.raises(TokenRejected) as raised:
        check(token, **how)
    return raised.value.reason


# -- good ones ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_good_token_says_whom_it_stands_for_and_what_it_allows(algorithm):
    """RFC 9068 §2.2."""
    token = check(made(algorithm=algorithm))
    assert (token.issuer, token.subject, token.client_id) == (ISSUER, "person-1", "client-1")
    assert token.scopes == {"tools:read", "tools:write"}
    assert token.audience == (API,)
    assert token.tsid == token.session_id == UUID(SESSION)
    assert token.expires_at - token.issued_at == timedelta(minutes=10)
    assert token.claims["jti"] == token.token_id == "token-1"
    assert not token.is_of_client
    assert token.allow_scopes(["tools:read"])
    assert not token.allow_scopes(["tools:read", "admin"])


def test_a_token_of_a_client_that_acts_for_itself_has_no_session():
    """RFC 9068 §2.2."""
    token = check(made(good_claims(sub="client-1", tsid=..., scope=...)))
    assert token.is_of_client
    assert (token.session_id, token.scopes) == (None, frozenset())


def test_a_client_id_that_is_somebodys_subject_does_not_hide_the_person():
    """RFC 9700 §4.15: a session is a person's."""
    assert not check(made(good_claims(sub="client-1"))).is_of_client


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_may_be_written_in_each_way_of_the_rfc(typ):
    """RFC 9068 §4."""
    assert check(made(header={"typ": typ})).subject == "person-1"


def test_one_audience_of_several_is_enough():
    """RFC 9068 §4."""
    assert check(made(good_claims(aud=["https://x.example", API]))).audience[1] == API


def test_clocks_may_differ_by_a_minute():
    """Threat model, Operations."""
    token = made()
    assert check(token, now=NOW - timedelta(seconds=59))
    assert check(token, now=NOW + timedelta(seconds=659))
    assert refused(token, now=NOW - timedelta(seconds=61)) == "iat"
    assert refused(token, now=NOW + timedelta(seconds=660)) == "exp"


def test_what_a_token_says_is_not_in_its_repr():
    """I13: a token in a traceback shows no claims."""
    assert "secret" not in repr(check(made(good_claims(email="secret@people.example"))))


# -- what is no access token -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typ", ["JWT", ..., "", "logout+jwt", "secevent+jwt", "at", "dpop+jwt", None, 1, ["at+jwt"]]
)
def test_what_else_the_same_keys_sign_is_refused_by_its_type(typ):
    """RFC 8725 §3.11: an ID token, a logout token, and what comes later."""
    assert refused(made(header={"typ": typ})) == "typ"


def test_a_logout_token_with_the_claims_of_an_access_token_is_none():
    """OpenID Connect Back-Channel Logout §2.4."""
    token = made(good_claims(events=LOGOUT_EVENT), header={"typ": "logout+jwt"})
    assert refused(token) == "typ"


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS256", "RS384", "RS1", None, ["RS256"], ...]
)
def test_algorithms_that_we_do_not_take_are_refused_before_any_key_is_looked_at(algorithm):
    """RFC 8725 §3.1, §3.2."""
    header = {"typ": "at+jwt", "kid": "kid-RS256", "alg": algorithm}
    header = {name: value for name, value in header.items() if value is not ...}
    token = f"{encode(json.dumps(header))}.{encode(json.dumps(good_claims()))}."
    assert refused(token) == "alg"


def test_an_hmac_with_the_public_key_is_refused():
    """RFC 8725 §2.1: the key is public, so anybody could have made it."""
    public = PRIVATE_KEYS["RS256"].public_key()
    header = {"typ": "at+jwt", "kid": "kid-RS256", "alg": "HS256"}
    signed = f"{encode(json.dumps(header))}.{encode(json.dumps(good_claims()))}"
    for form in (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1):
        secret = public.public_bytes(serialization.Encoding.PEM, form)
        mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).decode().rstrip("=")
        assert refused(f"{signed}.{mac}") == "alg"


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [
        ("RS256", "kid-ES256"),
        ("ES256", "kid-RS256"),
        ("EdDSA", "kid-ES256"),
        ("PS256", "kid-RS256"),
    ],
)
def test_a_key_signs_with_its_own_algorithm_only(algorithm, kid):
    """RFC 8725 §3.1, RFC 7517 §4.4."""
    assert refused(made(algorithm=algorithm, header={"kid": kid})) == "alg"


@pytest.mark.parametrize("kid", ["kid-RS256", "kid-ES256", "kid-EdDSA"])
@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_key_that_names_no_algorithm_still_signs_with_its_own_kind_only(algorithm, kid):
    """RFC 8725 §3.1: RS256 against a key on a curve, and the other way round."""
    bare = [{name: value for name, value in key.items() if name != "alg"} for key in JWKS["keys"]]
    keys = KeySet.from_jwks({"keys": bare})
    fits = {"RS256": "kid-RS256", "PS256": "kid-RS256"}.get(algorithm, f"kid-{algorithm}") == kid
    token = made(algorithm=algorithm, key=PRIVATE_KEYS[algorithm], header={"kid": kid})
    if not fits:
        assert refused(token, keys=keys) == "alg"
    elif algorithm != "PS256":  # whose key here is another one of the same kind
        assert check(token, keys=keys)


def test_an_algorithm_that_this_site_does_not_take_is_refused():
    assert refused(made(algorithm="ES256"), algorithms=("RS256",)) == "alg"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jwk", public_jwk(OTHER_KEY, "kid-RS256", "RS256")),
        ("jku", "https://evil.test/jwks"),
        ("x5u", "https://evil.test/cert"),
        ("x5c", ["MII"]),
        ("crit", ["exp"]),
        ("crit", []),
        ("b64", False),
        ("zip", "DEF"),
        ("enc", "A256GCM"),
    ],
)
def test_a_header_that_brings_a_key_or_changes_the_rules_is_refused(name, value):
    """RFC 8725 §3.10, RFC 7515 §4.1.11."""
    assert refused(made(key=OTHER_KEY, header={name: value})) == "header"


def test_a_signature_of_somebody_else_is_refused():
    assert refused(made(key=OTHER_KEY)) == "signature"
    good = made()
    signed, _, signature = good.rpartition(".")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    for other in ("", "AAAA", flipped, "A" * len(signature)):
        assert refused(f"{signed}.{other}") == "signature"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_no_second_text_stands_for_the_same_token(algorithm):
    """RFC 4648 §3.5: bits that are left over are zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = made(algorithm=algorithm)
    assert len(token.rpartition(".")[2]) % 4
    neighbour = alphabet[alphabet.index(token[-1]) + 1]
    assert refused(token[:-1] + neighbour) == "malformed"


def test_the_signature_of_one_token_does_not_cover_another():
    other = made(good_claims(sub="person-2"))
    assert refused(f"{other.rpartition('.')[0]}.{made().rpartition('.')[2]}") == "signature"


def test_a_key_that_nobody_knows_is_told_apart_so_that_newer_keys_may_be_fetched():
    """I15: and only for tokens of our issuer."""
    assert refused(made(header={"kid": "new"})) == "unknown_kid"
    assert refused(made(good_claims(iss="https://evil.test"), header={"kid": "new"})) == "iss"
    assert refused(made(header={"kid": ...})) == "kid"
    assert refused(made(header={"kid": 7})) == "kid"


def test_with_one_key_published_no_key_id_is_needed_and_the_key_still_has_to_fit():
    """RFC 7515 §4.1.4."""
    keys = KeySet.from_jwks({"keys": [JWKS["keys"][0]]})
    assert check(made(header={"kid": ...}), keys=keys)
    assert refused(made(algorithm="ES256", header={"kid": ...}), keys=keys) == "alg"
    assert refused(made(), keys=KeySet()) == "unknown_kid"


# -- claims ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.test",
        f"{ISSUER}/",
        "https://ID.example",
        "http://id.example",
        "",
        ...,
        None,
        [ISSUER],
        7,
    ],
)
def test_another_issuers_token_is_refused(issuer):
    """RFC 9068 §4: exactly."""
    assert refused(made(good_claims(iss=issuer))) == "iss"


@pytest.mark.parametrize(
    "audience",
    [
        "https://api.example",
        f"{API}/",
        f"{API}x",
        "client-1",
        ISSUER,
        "",
        ...,
        None,
        [],
        ["x"],
        [API, 7],
        {API: 1},
        7,
        [[API]],
    ],
)
def test_a_token_for_somewhere_else_is_refused(audience):
    """RFC 9068 §4, RFC 8707 §2: also an ID token's audience, the client."""
    assert refused(made(good_claims(aud=audience))) == "aud"


@pytest.mark.parametrize("name", ["sub", "client_id", "jti"])
@pytest.mark.parametrize("value", [..., None, "", 7, ["x"], "x" * 256, {"a": 1}, True])
def test_required_texts_are_texts(name, value):
    """RFC 9068 §2.2: each is required."""
    assert refused(made(good_claims(**{name: value}))) == name


@pytest.mark.parametrize("name", ["exp", "iat"])
@pytest.mark.parametrize("value", [..., None, "1790000000", True, -1, 10**18, [1], {}])
def test_required_times_are_times(name, value):
    """RFC 7519 §2, RFC 9068 §2.2."""
    assert refused(made(good_claims(**{name: value}))) == name


def test_a_token_that_is_not_good_yet_is_refused():
    """RFC 7519 §4.1.5."""
    now = int(NOW.timestamp())
    assert check(made(good_claims(nbf=now + 59)))
    for value in (now + 61, "soon", None, True):
        assert refused(made(good_claims(nbf=value))) == "nbf"


@pytest.mark.parametrize("value", [7, ["tools:read"], {"tools:read": 1}, True, ""])
def test_scopes_of_another_shape_allow_nothing(value):
    """RFC 8693 §4.2."""
    assert refused(made(good_claims(scope=value))) == "scope"


@pytest.mark.parametrize("value", [7, "", "not-a-uuid", ["x"], "x" * 300, "{}", True])
def test_a_session_is_a_uuid(value):
    assert refused(made(good_claims(tsid=value))) == "tsid"


# -- garbage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "malformed"),
        ("x", "malformed"),
        ("..", "malformed"),
        ("a.b.c.d.e", "encrypted"),
        ("é.é.é", "malformed"),
        ("\x00", "malformed"),
        (None, "malformed"),
        (b"a.b.c", "malformed"),
        ("a" * (16 * 1024 + 1), "too_large"),
        (made(good_claims(x="y" * 16 * 1024)), "too_large"),
        (made() + "=", "malformed"),
        (" " + made(), "malformed"),
        (made() + "\n", "malformed"),
        (made().replace(".", "..", 1), "malformed"),
        (sign_raw('{"typ":"at+jwt","alg":"RS256","alg":"none"}', "{}"), "malformed"),
        (sign_raw('{"typ":"at+jwt","alg":"RS256","kid":"kid-RS256"}', '{"iss":1,"iss":2}'), "malformed"),
        (sign_raw('{"typ":"at+jwt","alg":"RS256","kid":"kid-RS256"}', "[]"), "malformed"),
        (sign_raw('{"typ":"at+jwt","alg":"RS256","kid":"kid-RS256"}', '{"exp":NaN}'), "malformed"),
        (sign_raw("[" * 5000 + "]" * 5000, "{}"), "malformed"),
        (sign_raw(b"\xff\xfe", "{}"), "malformed"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, str) or len(value) < 12 else "token",
)
def test_what_is_no_token_is_malformed(token, reason):
    """RFC 7515 §3, RFC 8725 §3.3."""
    assert refused(token) == reason


def test_claims_that_no_database_could_hold_are_refused():
    """I18: NUL, lone surrogates, JSON nested too deep."""
    deep = "x"
    for _ in range(20):
        deep = [deep]
    for value in ("\x00", "\ud800", deep, {"\x00": 1}):
        assert refused(made(good_claims(extra=value))) == "unclean"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)
HEADER = {"typ": "at+jwt", "alg": "RS256", "kid": "kid-RS256"}
REQUIRED = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"]


@settings(max_examples=examples(300), deadline=None)
@given(
    header=st.dictionaries(st.sampled_from([*HEADER, "crit", "jwk", "b64"]) | st.text(), JSON, max_size=3),
    claims=st.dictionaries(
        st.sampled_from([*REQUIRED, "nbf", "scope", "tsid"]) | st.text(), JSON, max_size=4
    ),
)
def test_whatever_a_signed_token_says_the_answer_is_a_token_or_a_rejection(header, claims):
    """I18: even the issuer may be mad."""
    try:
        raw_header, raw_claims = json.dumps({**HEADER, **header}), json.dumps({**good_claims(), **claims})
        token = check(sign_raw(raw_header, raw_claims))
    except TokenRejected:
        return
    else:
        assert isinstance(token, AccessToken)
        assert token.issuer == ISSUER
        assert API in token.audience
        assert token.expires_at > NOW - timedelta(seconds=60)


GOOD = made()


@settings(max_examples=examples(500), deadline=None)
@given(
    place=st.integers(0, len(GOOD) - 1),
    taken=st.integers(0, 4),
    put=st.text(alphabet=st.characters(codec=None), max_size=4),
)
def test_a_token_that_was_changed_anywhere_is_rejected(place, taken, put):
    """RFC 8725 §3.3: whatever changes, nothing but the rejection comes of it."""
    changed = GOOD[:place] + put + GOOD[place + taken :]
    if changed == GOOD:
        return
    with pytest.raises(TokenRejected):
        check(changed)


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_whatever_comes_as_a_token_is_rejected(text):
    with pytest.raises(TokenRejected):
        check(text)
