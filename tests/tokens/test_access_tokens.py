"""Spec 6: access tokens are RFC 9068 JWTs or opaque, and the database holds a digest of either."""

from __future__ import annotations

import hashlib
import time

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from jwt import PyJWK
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import PendingAuthorization
from tests.conftest import register
from tests.support.journey import ISSUER, get, make_browser, post_form, redeem
from tests.support.recorded import code_for
from tests.tokens.conftest import decoded, machine_token, refresh, sign_in

pytestmark = pytest.mark.django_db

API, TOOLS = "https://api.example/v1", "https://tools.example"


def userinfo(token):
    return get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"})


def row_of(token) -> AccessToken:
    return AccessToken.objects.get(token_checksum=hashlib.sha256(token.encode()).hexdigest())


# -- what it says ------------------------------------------------------------------------------------------


def test_an_access_token_says_what_rfc_9068_asks_for(client_):
    """RFC 9068 §2.1, §2.2."""
    before = int(time.time())
    token = sign_in(client_)["access_token"]
    header, claims = decoded(token)
    assert header["typ"] == "at+jwt"
    assert claims["iss"] == ISSUER
    assert claims["sub"] == str(get_user_model().objects.get().pk)
    assert claims["client_id"] == client_.client_id
    assert set(claims["scope"].split()) == {"openid", "profile", "email"}
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 600
    assert len(claims["jti"]) >= 20


def test_tsid_is_the_session_everywhere(client_):
    """Architecture: tsid, sid, token family and vault key are one value."""
    answer = sign_in(client_)
    session_id = str(PendingAuthorization.objects.get().pk)
    assert decoded(answer["access_token"])[1]["tsid"] == session_id
    assert decoded(answer["id_token"])[1]["sid"] == session_id
    assert str(RefreshToken.objects.get().token_family) == session_id
    renewed = refresh(client_, answer["refresh_token"])
    assert decoded(renewed["access_token"])[1]["tsid"] == session_id


def test_how_and_when_the_person_signed_in_stays_through_refreshes(client_):
    """RFC 9068 §2.2.1: auth_time, amr and acr keep their values."""
    answer = sign_in(client_)
    renewed = refresh(client_, answer["refresh_token"])
    for name in ("auth_time", "amr"):
        values = [
            decoded(body[kind])[1][name]
            for body in (answer, renewed)
            for kind in ("access_token", "id_token")
        ]
        assert values[0]
        assert values == [values[0]] * 4


@pytest.mark.parametrize(
    ("resources", "audience"), [((), ISSUER), ((API,), API), ((API, TOOLS), [API, TOOLS])]
)
def test_the_audience_is_what_was_asked_for_else_this_site(client_, resources, audience):
    """RFC 9068 §3, RFC 8707 §2."""
    answer = sign_in(client_, resources=resources)
    assert decoded(answer["access_token"])[1]["aud"] == audience
    renewed = refresh(client_, answer["refresh_token"])
    assert decoded(renewed["access_token"])[1]["aud"] == audience


def test_i20_an_audience_is_chosen_within_the_grant_at_each_request(client_):
    """I20, RFC 8707 §2.2: at the exchange and at the refresh, for the one access token that it asks for."""
    code = code_for(client_, resource=[API, TOOLS])
    refused = redeem(client_, code, resource="https://other.example")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    body = redeem(client_, code, resource=API).json()
    assert decoded(body["access_token"])[1]["aud"] == API
    form = {
        "grant_type": "refresh_token",
        "refresh_token": body["refresh_token"],
        "client_id": client_.client_id,
        "resource": TOOLS,
    }
    body = post_form(make_browser(), "/token", form).json()
    assert decoded(body["access_token"])[1]["aud"] == TOOLS


def test_i20_a_code_that_named_no_resource_is_redeemed_for_this_site(client_):
    """I20: the person allowed no other audience."""
    code = code_for(client_)
    refused = redeem(client_, code, resource="https://other.example/")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    assert (
        decoded(redeem(client_, code, resource="https://auth.example/mcp").json()["access_token"])[1]["aud"]
        == "https://auth.example/mcp"
    )


def test_a_client_that_acts_for_itself_is_the_subject_and_has_no_session(machine):
    """RFC 9068 §2.2."""
    answer = machine_token(machine, resource=API)
    assert answer.status_code == 200, answer.content
    header, claims = decoded(answer.json()["access_token"])
    assert header["typ"] == "at+jwt"
    assert claims["sub"] == claims["client_id"] == "machine"
    assert claims["aud"] == API
    assert not {"tsid", "auth_time", "amr", "acr"} & set(claims)


@pytest.mark.parametrize(
    "form", [{"user": "1"}, {"refresh_token_instance": "x"}, {"access_token_issued_at": "x"}]
)
def test_a_parameter_that_is_called_like_something_of_ours_changes_nothing(machine, form):
    """I18: oauthlib hands out parameters as attributes of its request."""
    get_user_model().objects.create_user("one")
    answer = machine_token(machine, **form)
    assert answer.status_code == 200, answer.content
    assert decoded(answer.json()["access_token"])[1]["sub"] == "machine"


def test_an_id_token_parameter_changes_nothing_either(client_):
    """I18."""
    answer = redeem(client_, code_for(client_, scope="profile"), id_token="x")
    assert answer.status_code == 200, answer.content
    assert row_of(answer.json()["access_token"]).id_token is None


def test_a_client_never_passes_for_a_person(db):
    """RFC 9700 §4.15: a client whose id is the sub of somebody gets no token of its own."""
    user = get_user_model().objects.create_user("victim")
    register(
        client_id=str(user.pk),
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret="n" * 43,
    )
    from tests.support.journey import OAuthClient

    impostor = OAuthClient(str(user.pk), "n" * 43)
    answer = machine_token(impostor)
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    user.delete()
    assert machine_token(impostor).status_code == 200


@pytest.mark.parametrize(
    "resources",
    [
        ["https://a.example/" + "x" * 1024],
        [f"https://a.example/{number}" for number in range(11)],
        [f"https://a.example/{number}" + "x" * 900 for number in range(5)],
        ["http://["],
        ["no-uri"],
    ],
    ids=["long", "many", "long in all", "broken", "relative"],
)
def test_resources_that_no_token_could_carry_are_refused(client_, machine, resources):
    """RFC 8707 §2, I18: at each of the three places that name one."""
    page = get(make_browser(), f"/authorize?{client_.authorize_query(resource=resources)}")
    assert "error=invalid_target" in page.headers["Location"]
    answers = [
        redeem(client_, code_for(client_), resource=resources),
        machine_token(machine, resource=resources),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")


# -- how it is signed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_access_tokens_are_signed_by_the_first_key(client_, lazyauth, pems, algorithm):
    """Spec 6: whatever the client registered for its ID tokens."""
    others = [pem for name, pem in pems.items() if name != algorithm]
    lazyauth(SIGNING_KEYS=[pems[algorithm], *others])
    token = sign_in(client_)["access_token"]
    header, _ = decoded(token)
    first = get(make_browser(), "/.well-known/jwks.json").json()["keys"][0]
    assert (header["alg"], header["kid"]) == (algorithm, first["kid"])
    jwt.decode(token, PyJWK.from_dict(first), algorithms=[algorithm], audience=ISSUER, issuer=ISSUER)


# -- what is kept ------------------------------------------------------------------------------------------


def test_the_database_holds_a_digest_and_expires_with_the_token(client_, machine):
    """Threat model: someone who reads the database."""
    for token in (sign_in(client_)["access_token"], machine_token(machine).json()["access_token"]):
        row = row_of(token)
        assert row.token == ""
        assert int(row.expires.timestamp()) == decoded(token)[1]["exp"]


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_either_format_opens_userinfo_until_it_is_revoked(client_, lazyauth, form):
    """RFC 7009, I11."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    token = sign_in(client_)["access_token"]
    assert token.count(".") == (2 if form == "jwt" else 0)
    assert userinfo(token).status_code == 200
    revoked = post_form(make_browser(), "/revoke_token", {"token": token, "client_id": client_.client_id})
    assert revoked.status_code == 200
    assert userinfo(token).status_code == 401


def test_both_formats_live_side_by_side_when_the_setting_changes(client_, lazyauth):
    lazyauth(ACCESS_TOKEN_FORMAT="opaque")
    opaque = sign_in(client_)["access_token"]
    lazyauth(ACCESS_TOKEN_FORMAT="jwt")
    token = sign_in(client_)["access_token"]
    assert [userinfo(each).status_code for each in (opaque, token)] == [200, 200]


def test_a_token_that_is_not_in_the_database_opens_nothing_here(client_, settings):
    """A good signature is not enough where the database is asked."""
    from django_lazyauth.tokens import keys

    token = sign_in(client_)["access_token"]
    twin = keys.sign(decoded(token)[1] | {"jti": "twin"}, key=keys.key_for(), typ="at+jwt")
    assert userinfo(twin).status_code == 401


def test_a_wrong_format_is_an_error_of_check(lazyauth):
    lazyauth(ACCESS_TOKEN_FORMAT="JWT")
    assert "lazyauth.E003" in {message.id for message in run_checks(tags=["lazyauth"])}
