"""Clients that prove themselves with a key (RFC 7523 §2.2): what is taken, what is refused, and what that touches."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.checks import run_checks
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken, get_application_model

from django_lazyauth.clients.authenticate import prove_unspent
from django_lazyauth.clients.by_key import prove
from django_lazyauth.clients.by_key.assertion import ALGORITHMS
from django_lazyauth.errors import InvalidClient
from django_lazyauth.grants.authorization_code import authorization_code
from django_lazyauth.grants.contract import Prepared, read_form
from django_lazyauth.grants.endpoint import run_and_spend
from django_lazyauth.grants.refresh_token import refresh_token
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import ClientRegistration, PendingAuthorization, UsedProof
from django_lazyauth.upkeep.sweep import sweep
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ASSERTION_TYPE, ClientKey, give_keys
from tests.support.id_tokens import encode
from tests.support.journey import ISSUER, OAuthClient, make_browser, post_form, redeem
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db

KEY = ClientKey("ES256")
ENDPOINT = f"{ISSUER}/token"


@pytest.fixture
def keyed(db):
    """An operator's client that has a key and nothing else."""
    register(client_id="keyed-client", client_type="confidential")
    give_keys("keyed-client", KEY)
    return OAuthClient("keyed-client")


@pytest.fixture
def both(db):
    """A client that may come without credentials, or with an assertion: what ChatGPT publishes."""
    register(client_id="both-client", client_type="public", registration_source="dcr")
    methods = ["private_key_jwt", "none"]
    give_keys(
        "both-client",
        KEY,
        token_endpoint_auth_method=methods[0],
        token_endpoint_auth_methods_supported=methods,
    )
    return OAuthClient("both-client")


def call(path, form, **headers):
    return post_form(make_browser(), path, {n: v for n, v in form.items() if v is not None}, headers=headers)


def refresh(client, token, **form):
    return call(
        "/token",
        {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.client_id} | form,
    )


def assert_refused(answer, error="invalid_client", status=401):
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.content


# -- what is taken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_authenticates_at_every_endpoint(keyed, algorithm):
    """RFC 7523 §2.2, RFC 9864 §2.2; RFC 6749 §3.2.1, RFC 7009 §2.1, RFC 7662 §2.1."""
    key = ClientKey(algorithm)
    give_keys(keyed.client_id, key)
    answer = redeem(keyed, code_for(keyed), **key.form(keyed.client_id))
    assert answer.status_code == 200, answer.content
    tokens = answer.json()
    answer = refresh(keyed, tokens["refresh_token"], **key.form(keyed.client_id))
    assert answer.status_code == 200, answer.content
    token = {"token": answer.json()["access_token"]}
    described = call("/introspect", token | key.form(keyed.client_id))
    assert described.json()["active"] is True
    assert call("/revoke_token", token | key.form(keyed.client_id)).status_code == 200
    assert call("/introspect", token | key.form(keyed.client_id)).json() == {"active": False}


def test_a_client_acts_for_itself_with_its_key(keyed):
    """RFC 6749 §4.4."""
    register(client_id="machine", client_type="confidential", authorization_grant_type="client-credentials")
    give_keys("machine", KEY)
    form = {"grant_type": "client_credentials", "scope": "profile"} | KEY.form("machine")
    assert call("/token", form).status_code == 200
    assert AccessToken.objects.get().application.client_id == "machine"


def test_the_form_need_not_name_the_client(keyed):
    """RFC 7521 §4.2: client_id is optional beside an assertion."""
    answer = redeem(keyed, code_for(keyed), client_id=None, **KEY.form(keyed.client_id))
    assert answer.status_code == 200, answer.content


GOOD = {
    "typ of its own": {"header": {"typ": "client-authentication+jwt"}},
    "typ as a media type": {"header": {"typ": "application/client-authentication+jwt"}},
    "typ JWT": {"header": {"typ": "JWT"}},
    "one audience in an array": {"aud": [ISSUER]},
    "exp in an hour": {"exp": timedelta(seconds=3600)},
    "exp a moment ago": {"exp": timedelta(seconds=-30)},
    "a clock ahead": {"iat": timedelta(seconds=30), "nbf": timedelta(seconds=30)},
    "no iat": {"iat": ...},
    "the longest jti": {"jti": "j" * 255},
    "no kid": {"header": {"kid": ...}},
    "nearly 16 KiB": {"padding": "p" * 11 * 1024},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_what_the_rfc_leaves_open_is_taken(keyed, changes):
    """RFC 7523 §3; 60 s of leeway."""
    answer = redeem(keyed, code_for(keyed), **KEY.form(keyed.client_id, **changes))
    assert answer.status_code == 200, answer.content


def test_without_a_kid_the_only_key_that_fits_is_taken(keyed):
    rsa, edwards = ClientKey("RS256", kid="a"), ClientKey("EdDSA", kid="b")
    give_keys(keyed.client_id, rsa, edwards)
    form = rsa.form(keyed.client_id, header={"kid": ...})
    assert redeem(keyed, code_for(keyed), **form).status_code == 200
    curve = ClientKey("ES256", kid="c")
    give_keys(keyed.client_id, curve, ClientKey("ES256", kid="d"))
    form = curve.form(keyed.client_id, header={"kid": ...})
    assert_refused(redeem(keyed, code_for(keyed), **form))


@pytest.mark.parametrize(("named", "used"), [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA")])
def test_two_names_of_one_algorithm_are_one(keyed, named, used):
    """RFC 9864 §2.2: a key and a registration say the one, a library the other."""
    key = ClientKey(used)
    give_keys(
        keyed.client_id,
        token_endpoint_auth_signing_alg=named,
        jwks={"keys": [key.public_jwk | {"alg": named}]},
    )
    assert redeem(keyed, code_for(keyed), **key.form(keyed.client_id)).status_code == 200


# -- what is refused -----------------------------------------------------------------------------------------

BAD = {
    "audience is the endpoint": {"aud": ENDPOINT},
    "two audiences": {"aud": [ISSUER, ENDPOINT]},
    "no audience in the array": {"aud": []},
    "audience twice": {"aud": [ISSUER, ISSUER]},
    "audience with a slash": {"aud": f"{ISSUER}/"},
    "no audience": {"aud": ...},
    "another audience": {"aud": "https://evil.test"},
    "no jti": {"jti": ...},
    "empty jti": {"jti": ""},
    "long jti": {"jti": "j" * 256},
    "jti is no text": {"jti": 7},
    "jti with NUL": {"jti": "a\x00"},
    "exp in two hours": {"exp": timedelta(seconds=7200)},
    "expired": {"exp": timedelta(seconds=-120)},
    "no exp": {"exp": ...},
    "exp is no number": {"exp": "soon"},
    "issued in the future": {"iat": timedelta(seconds=600)},
    "not yet": {"nbf": timedelta(seconds=600)},
    "another issuer": {"iss": "somebody"},
    "another subject": {"sub": "somebody"},
    "no subject": {"sub": ...},
    "typ of an access token": {"header": {"typ": "at+jwt"}},
    "typ of an ID-JAG": {"header": {"typ": "oauth-id-jag+jwt"}},
    "typ of a proof": {"header": {"typ": "dpop+jwt"}},
    "typ of a request object": {"header": {"typ": "oauth-authz-req+jwt"}},
    "typ of an introspection": {"header": {"typ": "token-introspection+jwt"}},
    "typ of a logout token": {"header": {"typ": "logout+jwt"}},
    "alg none": {"header": {"alg": "none"}},
    "alg ES384": {"header": {"alg": "ES384"}},
    "alg of another kind": {"header": {"alg": "RS256"}},
    "unknown kid": {"header": {"kid": "key-2"}},
    "kid is no text": {"header": {"kid": 1}},
    **{
        f"header {name}": {"header": {name: value}}
        for name, value in {
            "jwk": KEY.public_jwk,
            "jku": "https://evil.test/keys",
            "x5u": "https://evil.test/cert",
            "x5c": ["AAAA"],
            "crit": ["exp"],
            "b64": False,
            "zip": "DEF",
        }.items()
    },
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_i25_an_assertion_that_is_wrong_in_one_respect_is_refused_and_touches_nothing(keyed, changes):
    """RFC 7523 §3, draft rfc7523bis: one audience, one purpose. The code still redeems."""
    code = code_for(keyed)
    answer = redeem(keyed, code, **KEY.form(keyed.client_id, **changes))
    assert_refused(answer)
    assert answer.json()["error_description"] == "The client assertion is not valid."
    assert not UsedProof.objects.exists()
    assert not AccessToken.objects.exists()
    assert redeem(keyed, code, **KEY.form(keyed.client_id)).status_code == 200


def hs256_with_the_public_key(client_id) -> str:
    pem = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(KEY.assertion(client_id), options={"verify_signature": False})
    head, body = encode(json.dumps({"alg": "HS256"})), encode(json.dumps(claims))
    made = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    # PyJWT takes no public key as a secret. An attacker does.
    mac = made.sign(f"{head}.{body}".encode(), pem)
    return f"{head}.{body}.{encode(mac)}"


MADE = {
    "HS256 with the public key": hs256_with_the_public_key,
    "signed by another key": ClientKey("ES256").assertion,
    "no signature": lambda client_id: KEY.assertion(client_id).rpartition(".")[0] + ".",
    "another signature": lambda client_id: (
        KEY.assertion(client_id).rpartition(".")[0] + "." + KEY.assertion(client_id).rpartition(".")[2]
    ),
    "two parts": lambda client_id: KEY.assertion(client_id).rpartition(".")[0],
    "encrypted": lambda client_id: "a.b.c.d.e",
    "no JSON": lambda client_id: f"{encode('x')}.{encode('y')}.{encode('z')}",
    "text": lambda client_id: "assertion",
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_i25_what_the_key_did_not_sign_is_refused(keyed, make):
    """RFC 7515 §5.2, RFC 8725 §3.1: the key decides which algorithms it signs with."""
    code = code_for(keyed)
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": make(keyed.client_id)}
    assert_refused(redeem(keyed, code, **form))
    assert redeem(keyed, code, **KEY.form(keyed.client_id)).status_code == 200


def test_an_assertion_of_more_than_16_kib_is_not_read(keyed):
    form = KEY.form(keyed.client_id, padding="p" * 12 * 1024)
    assert_refused(redeem(keyed, code_for(keyed), **form), "invalid_request", 400)


def test_a_token_of_ours_is_no_assertion(keyed):
    """RFC 8725 §3.11: neither an access token nor an ID token, whoever has them."""
    tokens = redeem(keyed, code_for(keyed), **KEY.form(keyed.client_id)).json()
    for name in ("access_token", "id_token"):
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": tokens[name]}
        assert_refused(redeem(keyed, "x", **form))


def test_another_type_of_assertion_is_refused(keyed):
    """RFC 7521 §4.2: one that was sent must hold, so the client is not taken at its word."""
    form = KEY.form(keyed.client_id) | {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2"
    }
    assert_refused(redeem(keyed, code_for(keyed), **form))


@pytest.mark.parametrize("missing", ["client_assertion", "client_assertion_type"])
def test_half_of_the_parameters_is_a_malformed_request(both, missing):
    """RFC 7521 §4.2: both are required. Never as if nothing had been sent."""
    form = KEY.form(both.client_id) | {missing: None}
    assert_refused(redeem(both, code_for(both), **form), "invalid_request", 400)


def basic(client_id, secret) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@pytest.mark.parametrize("path", ["/token", "/revoke_token", "/introspect"])
@pytest.mark.parametrize("ways", ["assertion and secret", "assertion and header", "header and secret"])
def test_two_ways_to_authenticate_are_a_malformed_request(confidential, path, ways):
    """RFC 6749 §2.3: although each of them would do."""
    client_id = confidential.client_id
    give_keys(client_id, KEY, token_endpoint_auth_methods_supported=["private_key_jwt", "client_secret_post"])
    form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x", "client_id": client_id}
    headers = {}
    if "assertion" in ways:
        form |= KEY.form(client_id)
    if "secret" in ways:
        form["client_secret"] = CONFIDENTIAL_SECRET
    if "header" in ways:
        headers["authorization"] = basic(client_id, CONFIDENTIAL_SECRET)
    assert_refused(call(path, form, **headers), "invalid_request", 400)
    assert not UsedProof.objects.exists()


@pytest.mark.parametrize("path", ["/token", "/revoke_token", "/introspect"])
def test_an_assertion_and_a_form_that_name_two_clients_are_refused(keyed, client_, path):
    form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
    answer = call(path, form | {"client_id": client_.client_id} | KEY.form(keyed.client_id))
    assert_refused(answer, "invalid_request", 400)


# -- no downgrade --------------------------------------------------------------------------------------------


def test_a_client_with_keys_is_not_taken_at_its_word(keyed):
    """RFC 6749 §3.2.1: also if an operator left its type public."""
    for kind in ("confidential", "public"):
        get_application_model().objects.filter(client_id=keyed.client_id).update(client_type=kind)
        code = code_for(keyed)
        assert_refused(redeem(keyed, code))
        assert redeem(keyed, code, **KEY.form(keyed.client_id)).status_code == 200


def test_a_secret_of_a_client_with_keys_is_refused(confidential):
    """It stays in the row while the operator moves to keys. Both work only where both are named."""
    give_keys(confidential.client_id, KEY)
    code = code_for(confidential)
    assert_refused(redeem(confidential, code))
    header = {"authorization": basic(confidential.client_id, CONFIDENTIAL_SECRET)}
    assert_refused(call("/introspect", {"token": "x"}, **header))
    give_keys(
        confidential.client_id,
        KEY,
        token_endpoint_auth_methods_supported=["private_key_jwt", "client_secret_basic"],
    )
    assert redeem(confidential, code).status_code == 200


def test_an_assertion_of_a_client_without_keys_is_refused(client_, confidential):
    for client in (client_, confidential):
        code = code_for(client)
        assert_refused(redeem(client, code, client_secret=None, **KEY.form(client.client_id)))
        assert redeem(client, code).status_code == 200


def test_a_client_that_registered_keys_for_something_else_authenticates_with_its_secret(confidential):
    """RFC 7591 §2: jwks may be for ID tokens or request objects. The method says what it authenticates with."""
    give_keys(confidential.client_id, KEY, token_endpoint_auth_method="client_secret_basic")
    code = code_for(confidential)
    assert_refused(redeem(confidential, code, client_secret=None, **KEY.form(confidential.client_id)))
    assert redeem(confidential, code).status_code == 200


def test_the_registered_algorithm_is_the_only_one(keyed):
    """OpenID Connect Registration §2: token_endpoint_auth_signing_alg."""
    rsa = ClientKey("PS256")
    give_keys(keyed.client_id, rsa, token_endpoint_auth_signing_alg="RS256")
    code = code_for(keyed)
    assert_refused(redeem(keyed, code, **rsa.form(keyed.client_id)))
    good = ClientKey("RS256", private=rsa.private)
    assert redeem(keyed, code, **good.form(keyed.client_id)).status_code == 200


def test_a_disabled_client_gets_nothing_for_its_key(keyed):
    code = code_for(keyed)
    ClientRegistration.objects.update(disabled_at=timezone.now())
    assert_refused(redeem(keyed, code, **KEY.form(keyed.client_id)))
    assert_refused(call("/introspect", {"token": "x"} | KEY.form(keyed.client_id)))


def test_a_client_that_may_do_both_may_come_without_an_assertion(both):
    """OpenID Connect RP Metadata Choices §2. But one that was sent must hold."""
    code = code_for(both)
    assert_refused(redeem(both, code, **ClientKey("ES256").form(both.client_id)))
    answer = redeem(both, code)
    assert answer.status_code == 200, answer.content
    assert refresh(both, answer.json()["refresh_token"]).status_code == 200


def test_a_session_whose_code_came_with_an_assertion_is_refreshed_with_one_only(both):
    """Spec 8.1: a stolen refresh token alone is worth nothing, whatever the client registers later. It stays usable."""
    token = redeem(both, code_for(both), **KEY.form(both.client_id)).json()["refresh_token"]
    assert PendingAuthorization.objects.get().client_auth == "private_key_jwt"
    assert_refused(refresh(both, token))
    answer = refresh(both, token, **KEY.form(both.client_id))
    assert answer.status_code == 200, answer.content
    token = answer.json()["refresh_token"]
    ClientRegistration.objects.update(metadata={"token_endpoint_auth_method": "none"})
    assert_refused(refresh(both, token))
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1, "a theft ends nothing"


def test_a_public_client_is_introspected_by_its_key_only(both):
    """RFC 7662 §2.1: who asks must authenticate."""
    token = redeem(both, code_for(both)).json()["access_token"]
    assert_refused(call("/introspect", {"token": token, "client_id": both.client_id}))
    assert call("/introspect", {"token": token} | KEY.form(both.client_id)).json()["active"] is True


# -- the grants of an operator's client --------------------------------------------------------------------------


def outcomes(client) -> dict[str, bool]:
    """Say which grants *client* may use."""
    own = {"grant_type": "client_credentials", "scope": "profile"}
    answer = redeem(client, code_for(client), **KEY.form(client.client_id))
    token = answer.json().get("refresh_token", "x")
    return {
        "authorization_code": answer.status_code == 200,
        "refresh_token": refresh(client, token, **KEY.form(client.client_id)).status_code == 200,
        "client_credentials": call("/token", own | KEY.form(client.client_id)).status_code == 200,
    }


def test_an_operator_lists_the_grants_of_a_client_beside_it(keyed):
    """Spec 8.10: DOT's row has one grant. Without a list it is as before."""
    all_of_them = ["authorization_code", "refresh_token", "client_credentials"]
    assert outcomes(keyed) == {
        "authorization_code": True,
        "refresh_token": True,
        "client_credentials": False,
    }
    give_keys(keyed.client_id, KEY, grant_types=all_of_them)
    assert outcomes(keyed) == dict.fromkeys(all_of_them, True)
    give_keys(keyed.client_id, KEY, grant_types=["authorization_code", "client_credentials"])
    assert outcomes(keyed) == {
        "authorization_code": True,
        "refresh_token": False,
        "client_credentials": True,
    }


def test_a_strangers_client_does_not_act_for_itself_whatever_it_registered(keyed):
    """RFC 6749 §4.4: that is by the operator's word."""
    get_application_model().objects.update(registration_source="dcr")
    give_keys(keyed.client_id, KEY, grant_types=["client_credentials", "authorization_code", "refresh_token"])
    form = {"grant_type": "client_credentials", "scope": "profile"} | KEY.form(keyed.client_id)
    assert_refused(call("/token", form), "unauthorized_client", 400)


# -- the audience --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/token", "/revoke_token", "/introspect"])
def test_an_operator_may_take_the_url_of_an_endpoint_from_a_client_of_theirs(keyed, lazyauth, path):
    """RFC 7523 §3 as it was. One audience all the same."""
    lazyauth(ASSERTION_AUDIENCE_COMPAT=[keyed.client_id])
    for audience in (f"{ISSUER}{path}", ISSUER):
        answer = call("/introspect", {"token": "x"} | KEY.form(keyed.client_id, aud=audience))
        assert answer.status_code == 200
    both = [ISSUER, f"{ISSUER}{path}"]
    assert_refused(call("/introspect", {"token": "x"} | KEY.form(keyed.client_id, aud=both)))
    assert_refused(call("/introspect", {"token": "x"} | KEY.form(keyed.client_id, aud=f"{ISSUER}/authorize")))


def test_i25_a_strangers_client_names_the_issuer_whatever_the_setting_says(both, lazyauth):
    """A hostile server could collect assertions for us from a client that has one key for all servers."""
    lazyauth(ASSERTION_AUDIENCE_COMPAT=[both.client_id])
    assert_refused(call("/introspect", {"token": "x"} | KEY.form(both.client_id, aud=ENDPOINT)))


def test_a_check_tells_which_clients_the_setting_names_in_vain(keyed, both, lazyauth):
    lazyauth(ASSERTION_AUDIENCE_COMPAT=[keyed.client_id, both.client_id, "nobody"])
    found = [one for one in run_checks(databases=["default"]) if one.id == "lazyauth.E024"]
    assert len(found) == 2
    assert all(f"{name!r}" in one.msg for name, one in zip((both.client_id, "nobody"), found, strict=True))
    assert "lazyauth.E024" not in {one.id for one in run_checks()}


def test_check_deploy_warns_of_the_setting(keyed, lazyauth):
    def ids() -> set[str]:
        return {one.id for one in run_checks(include_deployment_checks=True)}

    assert "lazyauth.W017" not in ids()
    lazyauth(ASSERTION_AUDIENCE_COMPAT=[keyed.client_id])
    assert "lazyauth.W017" in ids()


# -- once ----------------------------------------------------------------------------------------------------


def test_i25_an_assertion_is_good_once(keyed):
    """RFC 7523 §3: at every endpoint together."""
    form = KEY.form(keyed.client_id)
    assert call("/introspect", {"token": "x"} | form).status_code == 200
    for path in ("/introspect", "/revoke_token", "/token"):
        grant = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
        assert_refused(call(path, grant | form))


def test_i25_a_grant_that_comes_to_nothing_uses_the_assertion_up(keyed):
    """RFC 7523 §3: one assertion is not tried against many codes. The second of these ends its session, too."""
    spent = code_for(keyed)
    assert redeem(keyed, spent, **KEY.form(keyed.client_id)).status_code == 200
    for code in ("unknown", spent):
        form = KEY.form(keyed.client_id)
        assert_refused(redeem(keyed, code, **form), "invalid_grant", 400)
        assert_refused(redeem(keyed, code_for(keyed), **form))


@pytest.mark.parametrize("grant", [authorization_code, refresh_token], ids=["code", "refresh"])
def test_i25_a_copy_that_came_while_the_first_was_at_work_gets_and_ends_nothing(keyed, grant):
    """RFC 7523 §3: it looked before the first was committed. A code that is presented again would end the session."""
    sent = keyed.token_form(code_for(keyed)) | KEY.form(keyed.client_id)
    if grant is refresh_token:
        token = call("/token", sent).json()["refresh_token"]
        sent = {"grant_type": "refresh_token", "refresh_token": token, **KEY.form(keyed.client_id)}
    form = read_form(RequestFactory().post("/token", urlencode(sent), "application/x-www-form-urlencoded"))
    late = prove_unspent(form.credentials)
    first = call("/token", sent)
    with pytest.raises(InvalidClient):
        run_and_spend(grant, form, Prepared(by_key=late.client, unspent=late))
    again = refresh(keyed, first.json()["refresh_token"], **KEY.form(keyed.client_id))
    assert again.status_code == 200, "the session lives"


def test_a_jti_is_its_clients_own(keyed):
    """Two clients may happen to take the same."""
    register(client_id="another", client_type="confidential")
    give_keys("another", KEY)
    for client_id in (keyed.client_id, "another"):
        assert call("/introspect", {"token": "x"} | KEY.form(client_id, jti="1")).status_code == 200
    assert_refused(call("/introspect", {"token": "x"} | KEY.form("another", jti="1")))


def test_nobody_without_the_key_writes_a_row_or_uses_a_jti_up(keyed):
    form = ClientKey("ES256").form(keyed.client_id, jti="guessed")
    assert_refused(call("/introspect", {"token": "x"} | form))
    assert not UsedProof.objects.exists()
    assert call("/introspect", {"token": "x"} | KEY.form(keyed.client_id, jti="guessed")).status_code == 200


def test_a_used_assertion_is_remembered_for_longer_than_it_is_taken(keyed):
    """``exp`` and twice the leeway, then it is swept."""
    exp = int(time.time()) + 600
    call("/introspect", {"token": "x"} | KEY.form(keyed.client_id, exp=exp))
    (proof,) = UsedProof.objects.all()
    assert proof.expires_at.timestamp() == exp + 120
    list(sweep(now=proof.expires_at - timedelta(seconds=1)))
    assert UsedProof.objects.exists()
    list(sweep(now=proof.expires_at + timedelta(seconds=1)))
    assert not UsedProof.objects.exists()


def test_a_strangers_client_sends_so_many_and_then_waits(both, monkeypatch):
    """RFC 6585 §4. Each leaves a row for as long as it lives. An operator's client is not limited."""
    monkeypatch.setattr(
        prove, "ASSERTIONS_OF_STRANGER", Throttle("client-assertion", 3, timedelta(minutes=5))
    )
    answers = [call("/introspect", {"token": "x"} | KEY.form(both.client_id)) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"]
    assert UsedProof.objects.count() == 3
    register(client_id="ours", client_type="confidential")
    give_keys("ours", KEY)
    assert {call("/introspect", {"token": "x"} | KEY.form("ours")).status_code for _ in range(5)} == {200}


def test_the_limit_of_a_strangers_client_is_300_in_5_minutes():
    assert (prove.ASSERTIONS_OF_STRANGER.limit, prove.ASSERTIONS_OF_STRANGER.window) == (
        300,
        timedelta(minutes=5),
    )


def test_who_does_not_hold_the_key_does_not_count_for_the_client(both, monkeypatch):
    """Neither with another key, nor with a copy of what the client sent."""
    monkeypatch.setattr(
        prove, "ASSERTIONS_OF_STRANGER", Throttle("client-assertion", 2, timedelta(minutes=5))
    )
    for _ in range(3):
        assert_refused(call("/introspect", {"token": "x"} | ClientKey("ES256").form(both.client_id)))
    form = KEY.form(both.client_id)
    assert call("/introspect", {"token": "x"} | form).status_code == 200
    for _ in range(3):
        assert_refused(call("/introspect", {"token": "x"} | form))
    assert call("/introspect", {"token": "x"} | KEY.form(both.client_id)).status_code == 200


# -- what it costs, and what it tells ------------------------------------------------------------------------


def statements(client, code, **form):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert redeem(client, code, **form).status_code == 200
    return [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]


def test_clients_with_a_secret_pay_nothing_for_the_keys_of_others(confidential, keyed):
    """Spec 8: a key costs the SELECT of its client, and an INSERT where that is a statement of its own."""
    redeem(confidential, code_for(confidential))
    by_secret = statements(confidential, code_for(confidential))
    by_key = statements(keyed, code_for(keyed), **KEY.form(keyed.client_id))
    assert not any("usedproof" in sql for sql in by_secret)
    # MariaDB looks for the row first.
    assert len(by_key) - len(by_secret) == {"postgresql": 1, "sqlite": 2}.get(connection.vendor, 3)


def test_the_log_says_why_and_the_client_hears_only_that(keyed, caplog):
    """I13."""
    caplog.set_level("INFO", "django_lazyauth")
    form = KEY.form(keyed.client_id, jti="secret-jti", aud=ENDPOINT)
    assert_refused(redeem(keyed, "x", **form))
    assert "a client assertion was refused: aud" in caplog.text
    assert "secret-jti" not in caplog.text
    assert form["client_assertion"] not in caplog.text


def test_a_script_of_the_clients_origin_reads_the_answer(keyed):
    """The client is named by its assertion alone."""
    form = {"token": "x"} | KEY.form(keyed.client_id)
    answer = call("/introspect", form, origin="https://client.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://client.example"
