"""Spec 7, Token, Errors and CORS: what clients get from the endpoints that no person sees."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken, get_application_model

from django_lazyauth.models import PendingAuthorization, Status, UpstreamToken
from tests.support.journey import OAuthClient, get, make_browser, post_form, redeem
from tests.support.recorded import code_for

from .site import change_client, register_client, rows

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
ENDPOINTS = ["/token", "/revoke_token", "/introspect"]


def call(path, form, **headers):
    return post_form(make_browser(), path, form, headers=headers)


def raw(path, body, content_type=FORM, **kwargs):
    """POST these very bytes."""
    return make_browser().generic("POST", path, body, content_type=content_type, secure=True, **kwargs)


def basic(client_id, client_secret) -> str:
    pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def assert_error(response, error, status=400):
    """Check that an answer is the JSON error of an RFC, which no cache keeps (RFC 6749 §5.2)."""
    assert response.status_code == status, (response.status_code, response.content)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    body = json.loads(response.content)
    assert body["error"] == error, body
    assert set(body) <= {"error", "error_description", "error_uri"}
    return body


def userinfo(token):
    return get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"})


def refresh(client, token, **changes):
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.client_id}
    if client.client_secret:
        form["client_secret"] = client.client_secret
    return call("/token", {name: value for name, value in (form | changes).items() if value is not None})


def introspect(client, token, **changes):
    form = {"token": token, "client_id": client.client_id, "client_secret": client.client_secret}
    return call("/introspect", form | changes)


def revoke(client, token, **changes):
    form = {"token": token, "client_id": client.client_id}
    if client.client_secret:
        form["client_secret"] = client.client_secret
    return call(
        "/revoke_token", {name: value for name, value in (form | changes).items() if value is not None}
    )


@pytest.fixture
def tokens(client_):
    return redeem(client_, code_for(client_)).json()


@pytest.fixture
def secret_tokens(confidential):
    return redeem(confidential, code_for(confidential)).json()


def assert_session_is_over(client, tokens):
    assert userinfo(tokens["access_token"]).status_code == 401
    assert_error(refresh(client, tokens["refresh_token"]), "invalid_grant")
    assert AccessToken.objects.count() == UpstreamToken.objects.count() == 0
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()


# -- who calls -------------------------------------------------------------------------------------------


def test_a_good_secret_in_basic_is_good(confidential):
    """RFC 6749 §2.3.1; what every refusal below is the opposite of."""
    form = confidential.token_form(code_for(confidential), client_id=None, client_secret=None)
    answer = call("/token", form, authorization=basic(confidential.client_id, confidential.client_secret))
    assert answer.status_code == 200, answer.content


def test_a_secret_in_basic_is_form_encoded_first(db):
    """RFC 6749 §2.3.1."""
    secret = "a b+c%20:ü&=" + "x" * 40
    register_client("odd client", client_type="confidential", client_secret=secret, hash_client_secret=True)
    client = OAuthClient("odd client", secret)
    form = client.token_form(code_for(client), client_id=None, client_secret=None)
    answer = call("/token", form, authorization=basic(client.client_id, secret))
    assert answer.status_code == 200, answer.content


BAD_BASIC = {
    "wrong secret": basic("confidential-client", "wrong"),
    "empty secret": basic("confidential-client", ""),
    "other client": basic("nobody", "wrong"),
    "no colon": "Basic " + base64.b64encode(b"confidential-client").decode(),
    "no base64": "Basic %%%",
    "broken padding": "Basic YWJj=ZGVm",
    "no utf-8": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    "nul": "Basic " + base64.b64encode(b"confidential\x00client:x").decode(),
    "encoded nul": basic("confidential-client\x00", "x\x00"),
    "empty": "Basic ",
    "no ascii": "Basic \xff",
    "lower case": basic("confidential-client", "x\x00").replace("Basic", "basic"),
    "long": basic("x" * 6000, "y" * 6000),
}


@pytest.mark.parametrize("authorization", BAD_BASIC.values(), ids=BAD_BASIC)
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/token", {"grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43}),
        ("/token", {"grant_type": "refresh_token", "refresh_token": "x"}),
        ("/token", {"grant_type": "client_credentials"}),
        ("/revoke_token", {"token": "x"}),
        ("/introspect", {"token": "x"}),
    ],
)
def test_bad_credentials_in_basic_are_a_401_that_asks_for_basic(confidential, path, form, authorization):
    """RFC 6749 §5.2, RFC 7662 §2.3."""
    response = call(path, form, authorization=authorization)
    assert_error(response, "invalid_client", status=401)
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("client_secret", ["wrong", "", None, "s" * 9, "ü", "\ufffd"])
def test_a_confidential_client_without_its_secret_gets_nothing(confidential, client_secret):
    """RFC 6749 §3.2.1; the code stays the real client's."""
    code = code_for(confidential)
    before = rows()
    response = redeem(confidential, code, client_secret=client_secret)
    assert_error(response, "invalid_client", status=401)
    assert rows() == before
    assert redeem(confidential, code).status_code == 200


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_client_whose_secret_is_empty_proves_nothing(client_, path):
    """RFC 6749 §2.3.1: an operator left the secret of a confidential client empty. It is no password of nobody."""
    change_client(client_, client_type="confidential", authorization_grant_type="client-credentials")
    form = {"grant_type": "client_credentials", "token": "x"}
    response = call(path, form, authorization=basic(client_.client_id, ""))
    assert_error(response, "invalid_client", status=401)


@pytest.mark.parametrize("client_id", [None, "", "nobody", "x" * 300, "PUBLIC-CLIENT"])
def test_an_unknown_client_gets_nothing(client_, client_id):
    """RFC 6749 §5.2."""
    code = code_for(client_)
    response = redeem(client_, code, client_id=client_id)
    assert response.status_code in {400, 401}
    assert_error(response, response.json()["error"], status=response.status_code)
    assert response.json()["error"] in {"invalid_client", "invalid_request"}
    assert redeem(client_, code).status_code == 200


def test_a_random_secret_is_stretched_no_more_after_its_first_use(confidential):
    """Architecture: one SHA-256 for a secret that nobody can guess; a wrong one changes nothing."""

    def stored():
        return get_application_model().objects.get(client_id=confidential.client_id).client_secret

    before = stored()
    assert redeem(confidential, "x", client_secret="wrong" * 20).status_code == 401
    assert stored() == before
    assert redeem(confidential, code_for(confidential)).status_code == 200
    assert stored().startswith("lazyauth_sha256$")
    assert confidential.client_secret not in stored()
    assert redeem(confidential, code_for(confidential)).status_code == 200
    assert redeem(confidential, "x", client_secret="wrong" * 20).status_code == 401


# -- what the token endpoint is asked --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("grant_type", "code", "code_verifier") for value in (None, "", "wrong")),
        ("code_verifier", "v" * 43),
        ("code_verifier", "v" * 128),
        ("redirect_uri", "https://client.example/other"),
        ("redirect_uri", "https://client.example/cb/"),
        ("redirect_uri", "javascript:alert(1)"),
        ("redirect_uri", "http://["),
    ],
)
def test_a_missing_or_wrong_parameter_is_an_error_and_spends_nothing(client_, name, value):
    """RFC 6749 §5.2: the real client can still redeem the code."""
    code = code_for(client_)
    before = rows()
    form = {key: each for key, each in (client_.token_form(code) | {name: value}).items() if each is not None}
    response = call("/token", form)
    error = response.json()["error"]
    assert_error(response, error)
    assert error in {"invalid_request", "invalid_grant", "unsupported_grant_type"}
    assert rows() == before
    assert redeem(client_, code).status_code == 200


def test_the_redirect_uri_may_be_left_out_where_only_one_is_registered(client_):
    """OAuth 2.1 §4.1.3 asks for none; RFC 6749 §4.1.3 for the one of the request."""
    assert redeem(client_, code_for(client_), redirect_uri=None).status_code == 200
    change_client(client_, redirect_uris=f"{client_.redirect_uri} https://client.example/other")
    code = code_for(client_)
    response = redeem(client_, code, redirect_uri=None)
    assert_error(response, response.json()["error"])
    assert_error(redeem(client_, code, redirect_uri="https://client.example/other"), "invalid_grant")
    assert redeem(client_, code).status_code == 200


@pytest.mark.parametrize("name", ["grant_type", "code", "code_verifier", "redirect_uri", "client_id", "x"])
def test_a_repeated_parameter_is_an_error(client_, name):
    """RFC 6749 §3.2."""
    code = code_for(client_)
    form = client_.token_form(code, x="y")
    assert_error(call("/token", form | {name: [form[name], form[name]]}), "invalid_request")
    assert redeem(client_, code).status_code == 200


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "pair",
    [
        "code=%00",
        "token=%00",
        "client_id=%00",
        "refresh_token=%00",
        "x%00=1",
        "scope=%00",
        "token=" + "x" * 9000,
    ],
)
def test_what_no_database_can_hold_is_refused(client_, path, pair):
    """I18: NUL bytes and over-long values."""
    body = f"grant_type=authorization_code&client_id={client_.client_id}&"
    assert_error(raw(path, body.replace(f"{pair.partition('=')[0]}=", "y=") + pair), "invalid_request")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "body",
    [
        "grant_type=authorization_code&code=%ED%A0%80&token=%ED%A0%80&client_id=public-client",
        "grant_type=refresh_token&refresh_token=%ff%fe&token=%ff&client_id=public-client",
        "grant_type=authorization_code&code=%zz&token=%&client_id=%",
        "%=%&&&==&grant_type",
        "grant_type=authorization_code;code=x",
        "",
        "&" * 100,
        "{",
    ],
)
def test_a_badly_encoded_body_is_a_4xx(client_, path, body):
    """I18: lone surrogates, percent signs that stand for nothing, nothing at all."""
    for body_ in (body, body.encode() + b"\xff\xed\xa0\x80"):
        response = raw(path, body_)
        if path == "/revoke_token" and "token=%" in body:
            # An unknown token, of a client that exists: nothing to revoke.
            assert response.status_code in {200, 401}
        else:
            assert response.status_code in {400, 401}
            assert_error(response, response.json()["error"], status=response.status_code)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"grant_type": "authorization_code", "code": "x"}'),
        ("application/json", "[" * 100_000),
        ("application/json", '"\\ud800"'),
        ("text/plain", "grant_type=authorization_code"),
        ("", "grant_type=authorization_code"),
        ("multipart/form-data", "x"),
        ("multipart/form-data; boundary=", "x"),
        ("multipart/form-data; boundary=" + "x" * 300, "--x"),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=code\r\n\r\nx\r\n--b--",
        ),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=code"),
        ("application/x-www-form-urlencodedx", "grant_type=authorization_code"),
    ],
)
@pytest.mark.parametrize("origin", [None, "https://client.example"])
def test_only_a_form_is_read(client_, path, content_type, body, origin):
    """RFC 6749 §4.1.3: with a script's Origin as well as without."""
    headers = {"origin": origin} if origin else {}
    response = raw(path, body, content_type, headers=headers)
    assert_error(response, "invalid_request")


@pytest.mark.parametrize(
    "charset", ["utf-16", "unicode_escape", "utf-7", "latin-1", "nonsense", "punycode", "UTF-8", "utf8"]
)
def test_a_form_is_utf8_whatever_charset_it_names(client_, charset):
    """RFC 6749 Appendix B: some clients send one, and their parameters are ASCII anyway."""
    body = urlencode(client_.token_form(code_for(client_))).encode()
    response = raw("/token", body, f"{FORM}; charset={charset}")
    assert response.status_code == 200, response.content
    response = raw("/token", b"grant_type=authorization_code&code=%5Cud800", f"{FORM}; charset={charset}")
    assert response.status_code in {400, 401}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_parameters_in_the_url_are_refused(client_, path):
    """RFC 6749 §3.2: a secret in a URL ends in logs."""
    form = client_.token_form(code_for(client_), token="x")
    assert_error(raw(f"{path}?{urlencode(form)}", ""), "invalid_request")
    assert_error(raw(f"{path}?x=1", urlencode(form)), "invalid_request")
    assert redeem(client_, form["code"]).status_code == 200


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete"])
def test_only_post_is_served(client_, path, method):
    """RFC 6749 §3.2, RFC 7009 §2.1, RFC 7662 §2.1."""
    form = client_.token_form(code_for(client_), token="x")
    response = getattr(make_browser(), method)(f"{path}?{urlencode(form)}", secure=True)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.headers["Cache-Control"] == "no-store"
    if method != "head":
        assert_error(response, "invalid_request", status=405)


def test_a_body_that_is_too_large_is_refused(client_, settings):
    """I18."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    for path in ENDPOINTS:
        for headers in ({}, {"origin": "https://a.example"}):
            answer = raw(path, "x=" + "y" * 20_000, headers=headers)
            assert "longer" in assert_error(answer, "invalid_request", status=413)["error_description"]
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    for path in ENDPOINTS:
        answer = raw(path, "&".join(f"p{n}=x" for n in range(2000)))
        assert "parameters" in assert_error(answer, "invalid_request")["error_description"]


@pytest.mark.parametrize(
    "grant_type",
    [
        "password",
        "implicit",
        "token",
        "unknown",
        "AUTHORIZATION_CODE",
        "authorization_code ",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "ü",
        "__class__",
    ],
)
def test_other_grants_do_not_exist(confidential, grant_type):
    """OAuth 2.1 §10: password and implicit are gone."""
    user = get_user_model().objects.create_user("ada", password="right")
    form = {
        "grant_type": grant_type,
        "username": user.username,
        "password": "right",
        "client_id": confidential.client_id,
        "client_secret": confidential.client_secret,
    }
    change_client(confidential, authorization_grant_type="password")
    assert_error(call("/token", form), "unsupported_grant_type")
    assert AccessToken.objects.count() == 0


def test_client_credentials_are_for_clients_registered_for_them(confidential, client_):
    """RFC 6749 §4.4: nobody stands behind the token, so nothing can be refreshed."""
    form = {
        "grant_type": "client_credentials",
        "client_id": confidential.client_id,
        "client_secret": confidential.client_secret,
        "scope": "profile",
    }
    assert_error(call("/token", form), "unauthorized_client")
    change_client(confidential, authorization_grant_type="client-credentials")
    response = call("/token", form)
    assert response.status_code == 200, response.content
    assert response.headers["Cache-Control"] == "no-store"
    assert {"refresh_token", "id_token"} & set(response.json()) == set()
    assert introspect(confidential, response.json()["access_token"]).json()["active"] is True
    assert userinfo(response.json()["access_token"]).status_code in {401, 403}
    assert revoke(confidential, response.json()["access_token"]).status_code == 200
    assert introspect(confidential, response.json()["access_token"]).json() == {"active": False}


@pytest.mark.parametrize("client_secret", [None, ""])
def test_a_public_client_never_acts_for_itself(db, client_secret):
    """RFC 6749 §4.4: it has nothing to authenticate with, whatever grant it is registered for."""
    client = register_client(authorization_grant_type="client-credentials")
    form = {"grant_type": "client_credentials", "client_id": client.client_id, "scope": "profile"}
    response = call("/token", form if client_secret is None else form | {"client_secret": client_secret})
    assert_error(response, response.json()["error"], status=response.status_code)
    assert response.json()["error"] in {"invalid_client", "unauthorized_client"}
    assert AccessToken.objects.count() == 0


def test_a_client_of_another_grant_redeems_no_code(client_):
    """RFC 6749 §5.2."""
    code = code_for(client_)
    change_client(client_, authorization_grant_type="client-credentials")
    assert_error(redeem(client_, code), "unauthorized_client")


def test_tokens_are_kept_as_digests_only(client_, tokens):
    """Threat model: what a reader of the database learns is of no use."""
    kept = json.dumps(
        [list(model.objects.values()) for model in (AccessToken, RefreshToken, PendingAuthorization)],
        default=str,
    )
    for name in ("access_token", "refresh_token", "id_token"):
        assert tokens[name] not in kept
    assert len(tokens["access_token"]) >= 43


# -- refresh ---------------------------------------------------------------------------------------------


def test_a_refresh_token_brings_new_tokens_once(client_, tokens):
    """RFC 6749 §6, RFC 9700 §4.14. The old access token stays good until it expires: a request may be on its way."""
    response = refresh(client_, tokens["refresh_token"])
    assert response.status_code == 200, response.content
    assert response.headers["Cache-Control"] == "no-store"
    renewed = response.json()
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert userinfo(renewed["access_token"]).status_code == 200
    assert userinfo(tokens["access_token"]).status_code == 200
    assert refresh(client_, renewed["refresh_token"]).status_code == 200
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1
    assert len(set(RefreshToken.objects.values_list("token_family", flat=True))) == 1
    assert UpstreamToken.objects.count() == 1


def test_a_refresh_token_that_was_used_long_ago_ends_the_session(client_, tokens):
    """I10: somebody has a copy; the vault goes with the family."""
    renewed = refresh(client_, tokens["refresh_token"]).json()
    assert userinfo(renewed["access_token"]).status_code == 200
    assert UpstreamToken.objects.count() == 1
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(minutes=5))
    assert_error(refresh(client_, tokens["refresh_token"]), "invalid_grant")
    assert_session_is_over(client_, renewed)


def test_another_session_of_the_same_person_lives_on(client_, tokens):
    """I10: replay ends its own family only."""
    other = redeem(client_, code_for(client_)).json()
    renewed = refresh(client_, tokens["refresh_token"]).json()
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(minutes=5))
    assert_error(refresh(client_, tokens["refresh_token"]), "invalid_grant")
    assert userinfo(renewed["access_token"]).status_code == 401
    assert userinfo(other["access_token"]).status_code == 200
    assert UpstreamToken.objects.count() == 1
    assert refresh(client_, other["refresh_token"]).status_code == 200


def test_a_refresh_token_is_its_clients_alone(client_, tokens):
    """RFC 6749 §6, §10.4: a stranger's try neither works nor ends the session."""
    thief = register_client("thief")
    assert_error(refresh(thief, tokens["refresh_token"]), "invalid_grant")
    assert userinfo(tokens["access_token"]).status_code == 200
    assert refresh(client_, tokens["refresh_token"]).status_code == 200
    assert_error(refresh(thief, tokens["refresh_token"]), "invalid_grant")
    assert UpstreamToken.objects.count() == 1


def test_a_confidential_client_refreshes_with_its_secret_only(confidential, secret_tokens):
    """RFC 6749 §6."""
    response = refresh(confidential, secret_tokens["refresh_token"], client_secret=None)
    assert_error(response, "invalid_client", status=401)
    assert refresh(confidential, secret_tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("token", [None, "unknown", "ü", "x" * 8000])
def test_an_unknown_refresh_token_is_an_error(client_, token):
    """RFC 6749 §5.2."""
    response = refresh(client_, token)
    assert_error(response, "invalid_grant" if token else "invalid_request")


def test_neither_an_access_token_nor_a_code_nor_an_id_token_refreshes(client_, tokens):
    """RFC 6749 §6."""
    for token in (tokens["access_token"], tokens["id_token"], code_for(client_)):
        assert_error(refresh(client_, token), "invalid_grant")
    assert refresh(client_, tokens["refresh_token"]).status_code == 200


def test_the_scope_of_an_access_token_can_shrink_and_never_grow_beyond_the_grant(client_):
    """I20, RFC 6749 §6. ``offline_access`` is dropped here as it was at the authorization endpoint."""
    tokens = redeem(client_, code_for(client_, scope="openid email")).json()
    for scope in ("openid email profile", "profile", "unknown"):
        assert_error(refresh(client_, tokens["refresh_token"], scope=scope), "invalid_scope")
    narrow = refresh(client_, tokens["refresh_token"], scope="openid").json()
    assert narrow["scope"] == "openid"
    assert set(userinfo(narrow["access_token"]).json()) == {"sub"}
    for scope in ("openid email profile", "profile"):
        assert_error(refresh(client_, narrow["refresh_token"], scope=scope), "invalid_scope")
    again = refresh(client_, narrow["refresh_token"]).json()
    assert set(again["scope"].split()) == {"openid", "email"}
    tolerated = refresh(client_, again["refresh_token"], scope="openid email offline_access").json()
    assert set(tolerated["scope"].split()) == {"openid", "email"}


def test_the_audience_of_an_access_token_can_shrink_and_never_grow_beyond_the_grant(client_):
    """I20, RFC 8707 §2.2."""
    both = ["https://api.example/a", "https://api.example/b"]
    code = code_for(client_, resource=both)
    assert_error(redeem(client_, code, resource="https://api.example/c"), "invalid_target")
    tokens = redeem(client_, code).json()
    assert AccessToken.objects.get().resource == both
    response = refresh(client_, tokens["refresh_token"], resource="https://api.example/c")
    assert_error(response, "invalid_target")
    tokens = refresh(client_, tokens["refresh_token"], resource=both[0]).json()
    assert AccessToken.objects.latest("pk").resource == both[:1]
    assert refresh(client_, tokens["refresh_token"], resource=both[1]).status_code == 200
    assert AccessToken.objects.latest("pk").resource == both[1:]


NO_URI = "absolute URI"
#: Why → what is sent, and what the client is told.
BAD_RESOURCES = {
    "no host": ("x://", NO_URI),
    "no URI": ('no"URI', NO_URI),
    "half an address": ("http://[", NO_URI),
    "fragment": ("https://api.example/#f", NO_URI),
    "userinfo": ("https://ada@api.example/", NO_URI),
    "port": ("https://api.example:99999/", NO_URI),
    "too long": ("https://api.example/" + "x" * 1024, "1024 characters"),
    "too many": ([f"https://api.example/{number}" for number in range(11)], "10 resources"),
}


@pytest.mark.parametrize(("resource", "reason"), BAD_RESOURCES.values(), ids=BAD_RESOURCES)
def test_what_is_no_resource_indicator_is_an_invalid_target_for_every_grant(
    client_, confidential, resource, reason
):
    """I18, RFC 8707 §2; a description repeats nothing of it (RFC 6749 §5.2 bounds its characters)."""
    code = code_for(client_)
    change_client(confidential, authorization_grant_type="client-credentials")
    answers = [
        redeem(client_, code, resource=resource),
        refresh(client_, redeem(client_, code_for(client_)).json()["refresh_token"], resource=resource),
        call(
            "/token",
            {
                "grant_type": "client_credentials",
                "client_id": confidential.client_id,
                "client_secret": confidential.client_secret,
                "scope": "profile",
                "resource": resource,
            },
        ),
    ]
    for answer in answers:
        body = assert_error(answer, "invalid_target")
        assert reason in body["error_description"]
        assert "api.example" not in body["error_description"]
    assert redeem(client_, code).status_code == 200


def test_a_code_that_named_no_resource_is_for_this_site_only(client_):
    """I20, RFC 8707 §2.2: the person consented to no resource elsewhere. A refusal spends nothing."""
    code = code_for(client_)
    assert_error(redeem(client_, code, resource="https://api.example/a"), "invalid_target")
    assert redeem(client_, code, resource="https://auth.example/mcp").status_code == 200
    assert AccessToken.objects.get().resource == ["https://auth.example/mcp"]


def test_a_deactivated_or_deleted_user_refreshes_nothing(client_, tokens):
    """Spec 6."""
    get_user_model().objects.update(is_active=False)
    assert_error(refresh(client_, tokens["refresh_token"]), "invalid_grant")
    assert userinfo(tokens["access_token"]).status_code == 401
    get_user_model().objects.all().delete()
    assert_error(refresh(client_, tokens["refresh_token"]), "invalid_grant")
    assert UpstreamToken.objects.count() == 0


def test_refresh_tokens_end_when_idle_and_in_all(client_, tokens, lazyauth):
    """Secure defaults: 14 days idle, 90 days in all."""
    RefreshToken.objects.update(created=timezone.now() - timedelta(days=14, seconds=1))
    assert_error(refresh(client_, tokens["refresh_token"]), "invalid_grant")
    RefreshToken.objects.update(created=timezone.now() - timedelta(days=13))
    tokens = refresh(client_, tokens["refresh_token"]).json()
    lazyauth(REFRESH_TOKEN_LIFETIME=0.001)
    assert_error(refresh(client_, tokens["refresh_token"]), "invalid_grant")


# -- revocation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["refresh_token", "access_token"])
@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "nonsense"])
def test_revoking_a_token_ends_its_session(client_, tokens, name, hint):
    """RFC 7009 §2.1, I11: nothing of the family works after the answer, whatever the hint."""
    response = revoke(client_, tokens[name], token_type_hint=hint)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content == b"" or isinstance(json.loads(response.content), dict)
    assert_session_is_over(client_, tokens)


def test_revoking_a_token_that_was_rotated_away_ends_the_session_too(client_, tokens):
    """RFC 7009 §2.1: the client means the session, whichever token it still has."""
    renewed = refresh(client_, tokens["refresh_token"]).json()
    assert revoke(client_, tokens["refresh_token"]).status_code == 200
    assert_session_is_over(client_, renewed)


def test_a_client_revokes_its_own_tokens_only(client_, tokens):
    """RFC 7009 §2.1: and does not learn whether the token exists."""
    thief = register_client("thief")
    for name in ("refresh_token", "access_token", "id_token"):
        response = revoke(thief, tokens[name])
        assert (response.status_code, response.content) == (200, revoke(thief, "unknown").content)
    assert userinfo(tokens["access_token"]).status_code == 200
    assert UpstreamToken.objects.count() == 1


def test_revoking_needs_the_clients_secret(confidential, secret_tokens):
    """RFC 7009 §2.1."""
    for client_secret in (None, "wrong"):
        response = revoke(confidential, secret_tokens["refresh_token"], client_secret=client_secret)
        assert_error(response, "invalid_client", status=401)
    assert userinfo(secret_tokens["access_token"]).status_code == 200
    assert revoke(confidential, secret_tokens["refresh_token"]).status_code == 200
    assert_session_is_over(confidential, secret_tokens)


@pytest.mark.parametrize("form", [{}, {"token": ""}])
def test_revoking_nothing_is_an_error(client_, form):
    """RFC 7009 §2.1."""
    assert_error(call("/revoke_token", form | {"client_id": client_.client_id}), "invalid_request")


def test_revoking_of_an_unknown_client_is_refused(client_):
    """RFC 7009 §2.1."""
    response = revoke(client_, "x", client_id="nobody")
    assert_error(response, "invalid_client", status=401)


# -- introspection ---------------------------------------------------------------------------------------


def test_a_client_sees_what_its_own_tokens_say(confidential, secret_tokens):
    """RFC 7662 §2.2."""
    user = get_user_model().objects.get()
    for authorization in (None, basic(confidential.client_id, confidential.client_secret)):
        form = {"token": secret_tokens["access_token"]}
        if authorization:
            response = call("/introspect", form, authorization=authorization)
        else:
            response = introspect(confidential, secret_tokens["access_token"])
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        said = response.json()
        assert said["active"] is True
        assert (said["client_id"], said["sub"]) == (confidential.client_id, str(user.pk))
        assert set(said["scope"].split()) == {"openid", "profile", "email"}
        assert 0 < said["exp"] - timezone.now().timestamp() <= 600
    assert introspect(confidential, secret_tokens["refresh_token"]).json()["active"] is True


def test_what_is_nobodys_business_is_inactive(confidential, secret_tokens, client_):
    """RFC 7662 §2.2: a foreign, spent, unknown or ID token says nothing but that."""
    inactive = {"active": False}
    foreign = redeem(client_, code_for(client_)).json()
    for token in (
        foreign["access_token"],
        foreign["refresh_token"],
        secret_tokens["id_token"],
        "unknown",
        "ü",
        "x" * 8000,
    ):
        assert introspect(confidential, token).json() == inactive
    renewed = refresh(confidential, secret_tokens["refresh_token"]).json()
    assert introspect(confidential, secret_tokens["refresh_token"]).json() == inactive
    assert introspect(confidential, secret_tokens["access_token"]).json()["active"] is True
    AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert introspect(confidential, renewed["access_token"]).json() == inactive
    get_user_model().objects.update(is_active=False)
    assert introspect(confidential, renewed["refresh_token"]).json() == inactive


def test_a_refresh_token_of_a_session_whose_time_is_over_is_inactive(confidential, secret_tokens, lazyauth):
    """RFC 7662 §2.2: active means that it works."""
    lazyauth(REFRESH_TOKEN_LIFETIME=0.001)
    assert_error(refresh(confidential, secret_tokens["refresh_token"]), "invalid_grant")
    assert introspect(confidential, secret_tokens["refresh_token"]).json() == {"active": False}


def test_introspection_needs_a_secret(client_, confidential, tokens):
    """RFC 7662 §2.1: a public client has none to show, so whoever guesses its name learns nothing."""
    for changes in (
        {"client_secret": "wrong"},
        {"client_secret": ""},
        {"client_id": client_.client_id, "client_secret": ""},
        {"client_id": "nobody"},
        {"client_id": ""},
    ):
        response = introspect(confidential, tokens["access_token"], **changes)
        assert_error(response, "invalid_client", status=401)
        assert response.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_secret_that_the_toolkit_made_for_a_public_client_opens_no_introspection(db):
    """RFC 7662 §2.1: it is in every copy of the client."""
    secret = "s" * 60
    register_client("shipped", client_secret=secret, hash_client_secret=True)
    client = OAuthClient("shipped")
    tokens = redeem(client, code_for(client)).json()
    response = introspect(OAuthClient("shipped", secret), tokens["access_token"])
    assert_error(response, "invalid_client", status=401)


def test_introspection_of_nothing_is_an_error(confidential):
    """RFC 7662 §2.1."""
    assert_error(introspect(confidential, ""), "invalid_request")


# -- userinfo --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ("openid", {"sub"}),
        ("openid email", {"sub", "email", "email_verified"}),
        ("openid profile", {"sub", "name", "given_name", "family_name", "preferred_username"}),
    ],
)
def test_scopes_bring_their_claims(client_, scope, claims):
    """OpenID Connect Core §5.4."""
    tokens = redeem(client_, code_for(client_, scope=scope)).json()
    response = userinfo(tokens["access_token"])
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert set(response.json()) == claims


def test_userinfo_takes_a_post(client_, tokens):
    """OpenID Connect Core §5.3.1."""
    response = call("/userinfo", {}, authorization=f"Bearer {tokens['access_token']}")
    assert response.json() == userinfo(tokens["access_token"]).json()
    response = make_browser().put("/userinfo", secure=True)
    assert_error(response, "invalid_request", status=405)


def test_only_an_access_token_opens_userinfo(client_, tokens):
    """RFC 9700 §2.3, spec 6: an ID token is never a bearer."""
    code = code_for(client_)
    header, payload, _ = tokens["id_token"].split(".")
    for token in (
        tokens["id_token"],
        tokens["refresh_token"],
        f"{header}.{payload}.",
        code,
        "eyJhbGciOiJub25lIn0.e30.",
        "ey",
        "garbage",
        "ü",
        "a b",
        "x" * 20_000,
        "' OR 1=1",
    ):
        response = userinfo(token)
        assert response.status_code == 401, token
        assert response.headers["WWW-Authenticate"].startswith("Bearer"), token
        assert response.headers["Cache-Control"] == "no-store"
        assert "sub" not in json.loads(response.content or b"{}")
    assert userinfo(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic eDp5", "bear er x", "\t"])
def test_without_a_token_there_is_no_error_code(client_, tokens, authorization):
    """RFC 6750 §3.1."""
    headers = {} if authorization is None else {"authorization": authorization}
    response = get(make_browser(), "/userinfo", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    if authorization is None:
        assert "error" not in response.headers["WWW-Authenticate"]


def test_the_scheme_of_a_bearer_is_case_insensitive(client_, tokens):
    """RFC 9110 §11.1."""
    for scheme in ("bearer", "BEARER"):
        header = {"authorization": f"{scheme} {tokens['access_token']}"}
        assert get(make_browser(), "/userinfo", headers=header).status_code == 200


def test_a_token_in_the_url_or_in_the_body_is_not_looked_at(client_, tokens):
    """RFC 9700 §4.3.2."""
    token = tokens["access_token"]
    assert get(make_browser(), f"/userinfo?access_token={token}").status_code == 401
    assert call("/userinfo", {"access_token": token}).status_code == 401
    wrong = {"authorization": "Bearer wrong"}
    assert get(make_browser(), f"/userinfo?access_token={token}", headers=wrong).status_code == 401
    assert call("/userinfo", {"access_token": token}, **wrong).status_code == 401


def test_a_token_without_openid_has_no_userinfo(client_):
    """OpenID Connect Core §5.3, RFC 6750 §3.1."""
    tokens = redeem(client_, code_for(client_, scope="email")).json()
    assert "id_token" not in tokens
    response = userinfo(tokens["access_token"])
    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


def test_an_expired_token_is_an_invalid_token(client_, tokens):
    """RFC 6750 §3.1."""
    AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
    response = userinfo(tokens["access_token"])
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


# -- other origins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "method"),
    [("/token", "POST"), ("/revoke_token", "POST"), ("/userinfo", "GET"), ("/userinfo", "POST")],
)
def test_preflights_are_answered(db, path, method):
    """Fetch §4.8: the headers that clients send, never credentials."""
    response = make_browser().options(
        path,
        secure=True,
        headers={
            "origin": "https://client.example",
            "access-control-request-method": method,
            "access-control-request-headers": "authorization,content-type,mcp-protocol-version",
        },
    )
    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["Access-Control-Allow-Origin"] in {"https://client.example", "*"}
    assert method in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "mcp-protocol-version"))
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert "Origin" in response.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in make_browser().options(path, secure=True).headers


def test_scripts_of_a_clients_own_origin_may_read_answers_and_errors(client_):
    """Spec 7, CORS: origins of registered redirect URIs."""
    code = code_for(client_)
    origin = {"origin": "https://client.example"}
    for form in (client_.token_form("wrong"), client_.token_form(code)):
        response = call("/token", form, **origin)
        assert response.headers["Access-Control-Allow-Origin"] == "https://client.example"
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "Origin" in response.headers["Vary"]
    tokens = response.json()
    revoked = call(
        "/revoke_token", {"token": tokens["access_token"], "client_id": client_.client_id}, **origin
    )
    assert revoked.headers["Access-Control-Allow-Origin"] == "https://client.example"


def test_scripts_of_a_client_that_authenticates_in_the_header_may_read_too(confidential):
    """Spec 7, CORS: the client is known by its Basic header where the body does not name it."""
    form = confidential.token_form("wrong", client_id=None, client_secret=None)
    own, foreign = (
        call("/token", form, origin=origin, authorization=authorization)
        for origin, authorization in (
            ("https://client.example", basic(confidential.client_id, confidential.client_secret)),
            ("https://evil.test", basic(confidential.client_id, confidential.client_secret)),
        )
    )
    assert own.json()["error"] == foreign.json()["error"] == "invalid_grant"
    assert own.headers["Access-Control-Allow-Origin"] == "https://client.example"
    assert own.headers["Access-Control-Expose-Headers"].startswith("WWW-Authenticate")
    assert "Access-Control-Allow-Origin" not in foreign.headers
    unknown = call("/token", form, origin="https://client.example", authorization="Basic !")
    assert unknown.status_code == 401
    assert unknown.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "https://client.example.evil.test",
        "https://evilclient.example",
        "http://client.example",
        "https://client.example:8443",
        "https://client.example/",
        "https://CLIENT.example",
        "null",
        "ü",
        "*",
        "https://[",
    ],
)
def test_scripts_of_other_origins_may_not(client_, origin):
    """Spec 7, CORS."""
    response = call("/token", client_.token_form(code_for(client_)), origin=origin)
    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers


def test_any_origin_may_read_userinfo_because_the_token_is_no_cookie(client_, tokens):
    """Spec 7, CORS."""
    for token in (tokens["access_token"], "wrong"):
        headers = {"authorization": f"Bearer {token}", "origin": "https://anywhere.example"}
        response = get(make_browser(), "/userinfo", headers=headers)
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_client_with_odd_redirect_uris_breaks_no_answer(db):
    """I18."""
    client = register_client(redirect_uris="https://client.example/cb com.example.app:/cb https://[ x")
    client.redirect_uri = "https://client.example/cb"
    response = call("/token", client.token_form(code_for(client)), origin="https://other.example")
    assert response.status_code == 200
    assert PendingAuthorization.objects.get().status == Status.EXCHANGED


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_case_of_the_basic_scheme_does_not_matter(confidential, scheme):
    """RFC 9110 §11.1."""
    credentials = base64.b64encode(f"{confidential.client_id}:{confidential.client_secret}".encode()).decode()
    form = confidential.token_form(code_for(confidential), client_secret=None, client_id=None)
    answer = post_form(make_browser(), "/token", form, headers={"authorization": f"{scheme} {credentials}"})
    assert answer.status_code == 200, answer.content
