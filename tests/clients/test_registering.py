"""Spec 4, RFC 7591: what a client may say, what it is told, and how many there may be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone
from oauth2_provider.models import Application

from django_lazyauth.clients.operator_actions import disable, issue_initial_access_token
from django_lazyauth.kit.secret_digest import is_digest, secret_matches
from django_lazyauth.models import ClientRegistration, InitialAccessToken
from django_lazyauth.signals import client_deleted, client_registered
from django_lazyauth.upkeep.sweep import sweep
from tests.clients.conftest import CONFIDENTIAL, PUBLIC
from tests.conftest import register as register_manually
from tests.support.client_keys import ClientKey
from tests.support.journey import (
    OAuthClient,
    code_for,
    come_back,
    consent,
    get,
    make_browser,
    post_form,
    query_of,
    redeem,
    sign_in,
    start,
)

pytestmark = pytest.mark.django_db


# -- the answer --------------------------------------------------------------------------------------------


def test_a_public_client_registers_and_runs_the_whole_flow(registrar, any_store):
    """RFC 7591 §3.2.1."""
    answer = registrar.register(PUBLIC)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert body["client_id"]
    assert abs(body["client_id_issued_at"] - timezone.now().timestamp()) < 5
    assert "client_secret" not in body
    assert "client_secret_expires_at" not in body
    assert body["registration_access_token"]
    assert body["registration_client_uri"] == f"https://auth.example/register/{body['client_id']}"
    assert body["redirect_uris"] == PUBLIC["redirect_uris"]
    assert body["token_endpoint_auth_method"] == "none"
    assert body["grant_types"] == ["authorization_code", "refresh_token"]
    assert body["response_types"] == ["code"]
    assert body["scope"] == "openid profile email"
    client = OAuthClient(body["client_id"])
    tokens = redeem(client, code_for(client))
    assert tokens.status_code == 200, tokens.content
    assert tokens.json()["refresh_token"]


def test_a_confidential_client_gets_a_secret_that_works(registrar, any_store):
    body = registrar.registered(CONFIDENTIAL)
    assert body["token_endpoint_auth_method"] == "client_secret_basic"
    assert body["client_secret_expires_at"] == 0
    assert len(body["client_secret"]) >= 43
    client = OAuthClient(body["client_id"], body["client_secret"])
    assert redeem(client, code_for(client)).status_code == 200
    thief = OAuthClient(body["client_id"], "x" * 43, verifier=client.verifier)
    refused = redeem(thief, code_for(client))
    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_client"


def test_only_digests_are_kept(registrar):
    body = registrar.registered(CONFIDENTIAL)
    client = Application.objects.get()
    assert is_digest(client.client_secret)
    assert secret_matches(body["client_secret"], client.client_secret)
    assert client.hash_client_secret is False
    row = ClientRegistration.objects.get()
    assert body["registration_access_token"] not in str(vars(row))


def test_both_paths_answer(registrar):
    assert registrar.send("POST", "/register", PUBLIC).status_code == 201
    assert registrar.send("POST", "/register/", CONFIDENTIAL).status_code == 201


EVERYTHING = {
    **CONFIDENTIAL,
    "redirect_uris": ["https://client.example/cb", "http://127.0.0.1:8000/cb", "com.example.app:/cb"],
    "token_endpoint_auth_method": "client_secret_post",
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
    "client_uri": "https://www.client.example/",
    "logo_uri": "https://client.example/logo.png",
    "tos_uri": "https://client.example/tos",
    "policy_uri": "https://client.example/policy",
    "contacts": ["ops@client.example"],
    "scope": "openid email",
    "jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]},
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "software_version": "2.1",
    "application_type": "native",
    "post_logout_redirect_uris": ["https://client.example/bye"],
    "backchannel_logout_uri": "https://client.example/logout",
    "backchannel_logout_session_required": True,
    "subject_type": "public",
    "dpop_bound_access_tokens": False,
    "default_max_age": 3600,
    "default_acr_values": ["urn:example:mfa", "0"],
    "client_name#ja-Jpan-JP": "クライアント",
    "tos_uri#fr": "https://client.example/fr/tos",
}


def test_every_member_that_is_understood_is_echoed_as_registered(registrar, any_store):
    """RFC 7591 §2 and §2.2."""
    body = registrar.registered(EVERYTHING)
    assert EVERYTHING.items() <= body.items()
    assert EVERYTHING.items() <= registrar.manage("GET", body).json().items()


def test_what_is_not_understood_is_dropped_and_sets_nothing_of_ours(registrar):
    mine = {
        "client_id": "chosen",
        "client_secret": "chosen",
        "client_id_issued_at": 1,
        "registration_access_token": "chosen",
        "skip_authorization": True,
        "user": 1,
        "verified_at": "2020-01-01",
        "registration_source": "manual",
        "unheard_of": {"a": [1]},
        "client_name#": "x",
        "client_name#no_tag": "x",
        "client_uri": None,
        "tos_uri": "",
    }
    body = registrar.registered(CONFIDENTIAL | mine)
    assert not {"skip_authorization", "user", "unheard_of", "verified_at", "client_name#"} & set(body)
    assert "chosen" not in body.values()
    client = Application.objects.get()
    assert client.client_id == body["client_id"] != "chosen"
    assert (client.skip_authorization, client.user, client.registration_source) == (False, None, "dcr")


def test_pages_of_another_host_are_dropped(registrar):
    """A logo of somebody else's would lend a client a false face."""
    body = registrar.registered(
        PUBLIC
        | {
            "logo_uri": "https://bank.example/logo.png",
            "tos_uri": "https://bank.example/tos",
            "policy_uri#de": "https://bank.example/policy",
            "policy_uri": "https://client.example/policy",
        }
    )
    assert not {"logo_uri", "tos_uri", "policy_uri#de"} & set(body)
    assert body["policy_uri"] == "https://client.example/policy"


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uris",
    [
        None,
        [],
        "https://client.example/cb",
        {"a": 1},
        [1],
        [None],
        ["/relative"],
        ["https://client.example/cb#fragment"],
        ["http://client.example/cb"],
        ["http://localhost.evil.test/cb"],
        ["https://user@client.example/cb"],
        ["https://"],
        ["http://["],
        ["https://["],
        ["https://client.example:99999/"],
        ["javascript:alert(1)"],
        ["data:text/html,x"],
        ["myapp:/cb"],
        ["https://client.example/\x00"],
        ["https://client.example/\ud800"],
        ["https://client.example/" + "x" * 2048],
        [f"https://client.example/{number}" for number in range(11)],
        ["https://client.example/cb", "http://client.example/cb"],
    ],
    ids=lambda uris: repr(uris)[:40],
)
def test_a_bad_redirect_uri_is_refused_by_its_own_code(registrar, uris):
    """RFC 7591 §3.2.2."""
    answer = registrar.register(PUBLIC | {"redirect_uris": uris})
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_redirect_uri"
    assert not Application.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": {"a": 1}},
        {"grant_types": ["password"]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["implicit"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": []},
        {"grant_types": "authorization_code"},
        {"grant_types": [["authorization_code"]]},
        {"response_types": ["token"]},
        {"client_name": {"en": "x"}},
        {"client_name": 7},
        {"client_name": "\x00"},
        {"client_name": "\udc00"},
        {"jwks": {"keys": [{"kty": "RSA", "n": "\x00"}]}},
        {"client_name#en": ["x"]},
        {"logo_uri": 1},
        {"contacts": "ops@client.example"},
        {"contacts": [1]},
        {"scope": ["openid"]},
        {"scope": "openid " * 2000},
        {"jwks": "x"},
        {"jwks": {"keys": "x"}},
        {"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
        {"jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}]}},
        {"jwks": {"keys": []}, "jwks_uri": "https://client.example/jwks"},
        {"software_id": {}},
        {"post_logout_redirect_uris": "https://client.example/"},
        {"backchannel_logout_session_required": "yes"},
        {"dpop_bound_access_tokens": "true"},
        {"dpop_bound_access_tokens": 1},
        {"default_max_age": "3600"},
        {"default_max_age": True},
        {"default_max_age": 1.0},
        {"default_acr_values": "urn:example:mfa"},
        {"default_acr_values": [1]},
    ],
    ids=lambda change: repr(change)[:50],
)
def test_bad_metadata_is_refused(registrar, change):
    """RFC 7591 §3.2.2."""
    answer = registrar.register(PUBLIC | change)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client_metadata"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not Application.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"client_name": "x" * 256},
        {"client_uri": "javascript:alert(1)"},
        {"client_uri": "https://["},
        {"client_uri#de": "/relative"},
        {"logo_uri": "logo.png"},
        {"logo_uri": "data:image/png;base64,AAAA"},
        {"tos_uri": "https://client.example/" + "x" * 2048},
        {"policy_uri": "ftp://client.example/"},
        {"contacts": ["x"] * 300 + [str(number) for number in range(11)]},
        {"contacts": ["x" * 256]},
        {"subject_type": "pairwise"},
        {"default_max_age": -1},
        {"default_max_age": 10**9},
        {"default_max_age": 10**400},
        {"default_acr_values": ["two words"]},
        {"default_acr_values": [""]},
        {"default_acr_values": ['"']},
        {"default_acr_values": ["é"]},
        {"default_acr_values": [str(number) for number in range(11)]},
        {"jwks_uri": "http://client.example/jwks"},
        {"jwks_uri": "https://user:password@client.example/jwks"},
        {"jwks_uri": "https://client.example/jwks#first"},
        {"application_type": "desktop"},
        {"software_id": "x" * 256},
        {"jwks": {"keys": [{"kty": "unheard of"}]}},
        {"id_token_signed_response_alg": "none"},
        {"post_logout_redirect_uris": ["http://client.example/"]},
        {"backchannel_logout_uri": "http://client.example/"},
        {"backchannel_logout_uri": "https://client.example/#x"},
        {"backchannel_logout_uri": "https://"},
        {"backchannel_logout_uri": "https://me:pw@client.example/"},
        {"backchannel_logout_uri": "https://client.example:99999/"},
        {"backchannel_logout_uri": "com.example.app:/out"},
        {"backchannel_logout_uri": "http://127.0.0.1:8000/out"},
    ],
    ids=lambda change: repr(change)[:50],
)
def test_an_optional_member_that_cannot_be_used_is_dropped_and_not_echoed(registrar, change):
    """RFC 7591 §2: the server serves what it can, and the answer says what it registered."""
    body = registrar.registered({**PUBLIC, "redirect_uris": PUBLIC["redirect_uris"]} | change)
    assert not set(change) & set(body)
    assert registrar.manage("GET", body).status_code == 200


@pytest.mark.parametrize("response_types", [["code"], [], None], ids=["code", "none", "left_out"])
def test_a_client_of_devices_alone_gets_no_code(registrar, lazyauth, response_types):
    """RFC 7591 §2.1: a grant that a client did not register is none of its grants."""
    lazyauth(DEVICE_FLOW={"strangers": True})
    device = {
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": response_types,
    }
    made = registrar.registered(PUBLIC | device)
    assert (made["grant_types"], made["response_types"]) == (device["grant_types"], [])
    asked = OAuthClient(made["client_id"], redirect_uri=made["redirect_uris"][0])
    answer = get(make_browser(), f"/authorize?{asked.authorize_query()}")
    assert query_of(answer.headers["Location"])["error"] == "unauthorized_client"
    assert redeem(asked, "unknown").json()["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("change", "registered"),
    [
        (
            {"grant_types": ["authorization_code", "client_credentials", "password"]},
            {"grant_types": ["authorization_code"]},
        ),
        (
            {
                "grant_types": [
                    "authorization_code",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:jwt-bearer",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ]
            },
            {"grant_types": ["authorization_code", "refresh_token"]},
        ),
        ({"response_types": ["code", "id_token", "none"]}, {"response_types": ["code"]}),
        (
            {
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
            },
            {"token_endpoint_auth_method": "none"},
        ),
        ({"scope": "openid no-such-scope openid"}, {"scope": "openid"}),
        ({"scope": "no-such-scope"}, {"scope": "openid profile email"}),
        ({"scope": 'open"id email'}, {"scope": "email"}),
        (
            {
                "post_logout_redirect_uris": [
                    "https://client.example/out",
                    "javascript:x",
                    "http://a.example/",
                ]
            },
            {"post_logout_redirect_uris": ["https://client.example/out"]},
        ),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_of_several_values_those_that_are_served_are_kept(registrar, change, registered):
    """RFC 7591 §2, §3.2.1: the answer says which."""
    body = registrar.registered(PUBLIC | change)
    assert {name: body[name] for name in registered} == registered


@pytest.mark.parametrize(
    "uri",
    [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "vscode://vscode.github-authentication/did-authenticate",
        "vscode-insiders://x/cb",
        "windsurf://codeium.windsurf/cb",
        "zed://cb",
    ],
)
def test_the_schemes_of_well_known_clients_are_allowed_for_apps(registrar, uri, lazyauth):
    """RFC 8252 §7.1: they have no dot. A client that calls itself a web application has no app."""
    uris = [uri, "http://127.0.0.1/cb"]
    assert registrar.registered(PUBLIC | {"redirect_uris": uris})["redirect_uris"] == uris
    native = {"redirect_uris": uris, "application_type": "native"}
    client = OAuthClient(registrar.registered(PUBLIC | native)["client_id"], redirect_uri=uri)
    assert get(make_browser(), f"/authorize?{client.authorize_query()}").status_code == 200
    web = registrar.register(PUBLIC | {"redirect_uris": uris, "application_type": "web"})
    assert web.json()["error"] == "invalid_redirect_uri"
    lazyauth(APP_SCHEMES=["ours"])
    assert registrar.register(PUBLIC | {"redirect_uris": uris}).status_code == 400
    assert registrar.register(PUBLIC | {"redirect_uris": ["ours://cb"]}).status_code == 201
    assert get(make_browser(), f"/authorize?{client.authorize_query()}").status_code == 400


@pytest.mark.parametrize("uri", ["myapp:/cb", "http://client.example/cb", 'https://client.example/"\\', 7])
def test_a_redirect_uri_that_cannot_be_used_is_refused_by_name(registrar, uri):
    """RFC 7591 §3.2.2, RFC 6749 §5.2: whoever reads the error knows which of several it is."""
    answer = registrar.register(PUBLIC | {"redirect_uris": ["https://client.example/cb", uri]})
    assert answer.json()["error"] == "invalid_redirect_uri"
    description = answer.json()["error_description"]
    assert str(uri).partition('"')[0] in description
    assert all(" " <= one <= "~" and one not in '"\\' for one in description)


@pytest.mark.parametrize(
    "body", [b"", b"nope", b"[]", b"null", b'"x"', b"\xff", b'{"a": NaN}', b"[" * 60_000, b"1" * 9_000]
)
def test_a_body_that_is_no_json_object_is_refused(registrar, body):
    answer = registrar.send("POST", "/register/", body=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client_metadata"


@pytest.mark.parametrize(
    "body", [b'{"client_name": "' + b"x" * 3_000_000 + b'"}', b"[" * 200_000, b" " * 65_537]
)
def test_a_body_beyond_the_cap_is_cut_off(registrar, body):
    answer = registrar.send("POST", "/register/", body=body)
    assert answer.status_code == 413


def test_fifty_thousand_redirect_uris_are_refused(registrar):
    answer = registrar.register(PUBLIC | {"redirect_uris": ["https://client.example/cb"] * 50_000})
    assert answer.status_code in (400, 413)


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "", "application/xml"]
)
def test_only_json_is_read(registrar, content_type):
    answer = registrar.register(PUBLIC, content_type=content_type)
    assert answer.status_code == 415
    assert answer.json()["error"]


def test_json_with_a_charset_is_json(registrar):
    assert registrar.register(PUBLIC, content_type="application/json; charset=utf-8").status_code == 201


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(registrar, method):
    answer = registrar.send(method, "/register/", PUBLIC)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert "method" in answer.json()["error_description"]


@pytest.mark.parametrize("text", ["a\x00", "\ud800"])
@pytest.mark.parametrize("name", ["client_name", "software_id", "scope", "contacts", "grant_types"])
def test_a_text_that_no_database_can_hold_is_refused_for_that_reason(registrar, name, text):
    """I18. It is a string, so nobody is told that it has to be one."""
    value = [text] if name in ("contacts", "grant_types") else text
    answer = registrar.register(PUBLIC | {name: value})
    assert answer.status_code == 400
    assert answer.json()["error_description"] == f"{name} holds characters that it cannot hold."


def test_plain_http_is_refused(registrar):
    assert registrar.register(PUBLIC, secure=False).status_code == 400
    assert not Application.objects.exists()


def test_on_loopback_in_debug_plain_http_will_do(registrar, lazyauth, settings):
    lazyauth(ISSUER="http://127.0.0.1:8000")
    assert registrar.register(PUBLIC, secure=False).status_code == 400
    settings.DEBUG = True
    assert registrar.register(PUBLIC, secure=False).status_code == 201


def test_an_answer_is_json_whatever_the_client_accepts(registrar):
    for accept in ("text/html", "image/png", "*/*", "application/json"):
        answer = registrar.register({}, accept=accept)
        assert answer.headers["Content-Type"] == "application/json"


# -- scopes ------------------------------------------------------------------------------------------------


def test_the_granted_scope_is_never_wider_than_the_registered(registrar):
    """Spec 7, Token."""
    body = registrar.registered(PUBLIC | {"scope": "openid"})
    client = OAuthClient(body["client_id"], scope="openid email")
    answer = get(make_browser(), f"/authorize?{client.authorize_query()}")
    refused = query_of(answer.headers["Location"])
    assert refused["error"] == "invalid_scope"
    assert refused["error_description"] == "This client is not registered for the scope email."
    narrow = OAuthClient(body["client_id"], scope=None)
    assert redeem(narrow, code_for(narrow)).json()["scope"] == "openid"


def test_offline_access_is_not_an_error_where_it_was_not_registered(registrar):
    """Spec 7: libraries add it wherever it is advertised."""
    body = registrar.registered(PUBLIC | {"scope": "openid"})
    client = OAuthClient(body["client_id"], scope="openid offline_access")
    assert redeem(client, code_for(client, prompt="consent")).json()["scope"] == "openid"


def test_unknown_scopes_are_not_registered(registrar):
    assert registrar.registered(PUBLIC | {"scope": "openid no-such"})["scope"] == "openid"


def test_a_replacement_with_fewer_scopes_narrows_what_stands(registrar):
    """I20, and spec 7: code and refresh token from before get no more than is registered now."""
    body = registrar.registered(PUBLIC)
    client = OAuthClient(body["client_id"])
    tokens = redeem(client, code_for(client)).json()
    code = code_for(client, subject="grace")
    assert registrar.manage("PUT", body, PUBLIC | {"scope": "openid"}).status_code == 200
    assert redeem(client, code).json()["scope"] == "openid"
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": client.client_id,
    }
    assert post_form(make_browser(), "/token", form).json()["scope"] == "openid"


def test_a_client_without_the_refresh_grant_gets_no_refresh_token(registrar):
    body = registrar.registered(PUBLIC | {"grant_types": ["authorization_code"]})
    assert body["grant_types"] == ["authorization_code"]
    client = OAuthClient(body["client_id"])
    assert "refresh_token" not in redeem(client, code_for(client)).json()


# -- who may register --------------------------------------------------------------------------------------


def invitation(**fields) -> str:
    defaults = {"expires_at": timezone.now() + timedelta(days=1)}
    return issue_initial_access_token(InitialAccessToken(**defaults | fields))


def test_a_closed_site_registers_nobody_and_advertises_nothing(registrar, lazyauth):
    lazyauth(REGISTRATION_POLICY="closed")
    assert registrar.register(PUBLIC).status_code == 403
    metadata = get(make_browser(), "/.well-known/oauth-authorization-server").json()
    assert "registration_endpoint" not in metadata


def test_with_the_token_policy_an_initial_access_token_is_needed(registrar, lazyauth):
    """RFC 7591 §3."""
    lazyauth(REGISTRATION_POLICY="token")
    token = invitation(max_uses=2)
    for wrong in (None, "nonsense", "\x00", "x" * 5000):
        answer = registrar.register(PUBLIC, token=wrong)
        assert answer.status_code == 401
        assert answer.json()["error"] == "invalid_token"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert registrar.register(PUBLIC, token=token).status_code == 201
    # A refused registration takes no use.
    assert registrar.register({}, token=token).status_code == 400
    assert registrar.register(PUBLIC, token=token).status_code == 201
    assert registrar.register(PUBLIC, token=token).status_code == 401
    assert set(ClientRegistration.objects.values_list("source", flat=True)) == {"token"}


def test_an_expired_initial_access_token_is_refused(registrar):
    token = invitation(expires_at=timezone.now() - timedelta(seconds=1))
    assert registrar.register(PUBLIC, token=token).status_code == 401


def test_a_store_that_fails_gives_the_use_back(registrar, lazyauth):
    token = invitation()
    lazyauth(REGISTRATION_STORE="tests.clients.broken_stores.Down")
    assert registrar.register(PUBLIC, token=token).status_code == 503
    assert InitialAccessToken.objects.get().uses == 0


def test_an_initial_access_token_is_kept_as_a_digest():
    token = invitation()
    assert token not in str(vars(InitialAccessToken.objects.get()))


# -- how many ----------------------------------------------------------------------------------------------


def test_the_same_again_is_the_same_client(registrar, any_store):
    """Spec 4: a flood of identical registrations makes one row, which nobody manages: several share it."""
    first = registrar.registered(PUBLIC)
    for _ in range(30):
        again = registrar.registered(dict(reversed(PUBLIC.items())))
        assert again["client_id"] == first["client_id"]
        assert "registration_access_token" not in again
        assert "registration_client_uri" not in again
    for method in ("GET", "PUT", "DELETE"):
        answer = registrar.manage(method, first, PUBLIC if method == "PUT" else None)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert registrar.registered(PUBLIC)["client_id"] == first["client_id"]


def test_a_client_that_nobody_else_registered_is_managed_by_its_own_token(registrar, any_store):
    """RFC 7592 §2: nobody shares it."""
    first = registrar.registered(PUBLIC)
    registrar.registered(PUBLIC | {"software_id": "another"})
    assert registrar.manage("GET", first).status_code == 200


def test_the_same_from_elsewhere_later_or_changed_is_another(registrar):
    first = registrar.registered(PUBLIC)["client_id"]
    others = [
        registrar.registered(PUBLIC, address="198.51.100.1")["client_id"],
        registrar.registered(PUBLIC | {"client_name": "Another"})["client_id"],
        registrar.registered(CONFIDENTIAL)["client_id"],
        registrar.registered(CONFIDENTIAL)["client_id"],
    ]
    ClientRegistration.objects.update(created_at=timezone.now() - timedelta(hours=25))
    others.append(registrar.registered(PUBLIC)["client_id"])
    assert len({first, *others}) == 6


def test_a_disabled_client_is_not_handed_out_again(registrar):
    first = registrar.registered(PUBLIC)["client_id"]
    disable(Application.objects.values_list("pk", flat=True))
    assert registrar.registered(PUBLIC)["client_id"] != first


def test_a_network_registers_so_many_and_no_more(registrar):
    """I16: 20 in an hour for a /24 or a /56."""
    answers = [registrar.register(CONFIDENTIAL, address=f"192.0.2.{number}") for number in range(22)]
    assert [answer.status_code for answer in answers] == [201] * 20 + [429] * 2
    assert answers[-1].headers["Retry-After"]
    assert registrar.register(CONFIDENTIAL, address="198.51.100.1").status_code == 201
    six = [registrar.register(CONFIDENTIAL, address=f"2001:db8:0:{number:x}::1") for number in range(22)]
    assert [answer.status_code for answer in six] == [201] * 20 + [429] * 2


def test_without_the_cache_nobody_registers(registrar, settings, monkeypatch):
    """Operations: Redis down → registration limits fail closed. The reason is not the network's (RFC 6585 §4)."""

    def down(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr(cache._connections[cache._alias].__class__, "incr", down)
    answer = registrar.register(PUBLIC)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert 0 < int(answer.headers["Retry-After"]) <= 10
    assert not Application.objects.exists()


def unused() -> list[str]:
    rows = ClientRegistration.objects.unused().order_by("pk")
    return list(rows.values_list("client__client_id", flat=True))


def test_beyond_the_cap_the_oldest_unused_goes_and_nothing_else(registrar, lazyauth):
    """I16: manual and active clients never."""
    lazyauth(MAX_UNUSED_CLIENTS=3)
    manual = register_manually(client_id="by-hand")
    active = registrar.registered(CONFIDENTIAL)
    client = OAuthClient(active["client_id"], active["client_secret"])
    redeem(client, code_for(client))
    ids = [registrar.registered(CONFIDENTIAL)["client_id"] for _ in range(7)]
    assert unused() == ids[-3:]
    kept = set(Application.objects.values_list("client_id", flat=True))
    assert kept == {manual.client_id, active["client_id"], *ids[-3:]}


@pytest.mark.django_db(transaction=True)
def test_who_made_room_or_waited_too_long_is_told_of(registrar, any_store, lazyauth):
    """Spec 4: signals; of a client that lives elsewhere only our row went, and it is still registered."""
    lazyauth(MAX_UNUSED_CLIENTS=2)
    told: list[str] = []
    client_deleted.connect(receive := lambda sender, client_id, **_: told.append(client_id))
    try:
        ids = [registrar.registered(CONFIDENTIAL)["client_id"] for _ in range(3)]
        for client_id in ids:
            get(make_browser(), f"/authorize?{OAuthClient(client_id).authorize_query()}")
        list(sweep(now=timezone.now() + timedelta(days=31)))
    finally:
        client_deleted.disconnect(receive)
    assert not Application.objects.exists()
    assert told == (ids if any_store == "model" else [])


def test_a_place_that_was_freed_is_taken_before_anybody_goes(registrar, lazyauth):
    lazyauth(MAX_UNUSED_CLIENTS=3)
    clients = [registrar.registered(CONFIDENTIAL) for _ in range(3)]
    assert registrar.manage("DELETE", clients[1]).status_code == 204
    newest = registrar.registered(CONFIDENTIAL)["client_id"]
    assert unused() == [clients[0]["client_id"], clients[2]["client_id"], newest]


def test_an_unused_client_expires_and_an_active_one_does_not(registrar, lazyauth):
    """Spec 4: unused ones die after 30 days."""
    idle = registrar.registered(CONFIDENTIAL)
    active = registrar.registered(CONFIDENTIAL)
    client = OAuthClient(active["client_id"], active["client_secret"])
    redeem(client, code_for(client))
    list(sweep(now=timezone.now() + timedelta(days=29)))
    assert Application.objects.count() == 2
    swept = {one.kind: one.count for one in sweep(now=timezone.now() + timedelta(days=31))}
    assert swept["unused clients"] == 1
    assert Application.objects.get().client_id == active["client_id"]
    assert registrar.manage("GET", idle).status_code == 401


def test_a_client_whose_time_is_over_is_unknown_before_the_sweep_came(registrar):
    body = registrar.registered(PUBLIC)
    ClientRegistration.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    client = OAuthClient(body["client_id"])
    assert get(make_browser(), f"/authorize?{client.authorize_query()}").status_code == 400
    assert registrar.manage("GET", body).status_code == 401


def test_a_lowered_cap_is_swept_into_force(registrar, lazyauth):
    for _ in range(6):
        registrar.registered(CONFIDENTIAL)
    lazyauth(MAX_UNUSED_CLIENTS=2)
    list(sweep())
    assert len(unused()) <= 2


# -- people see what it is ---------------------------------------------------------------------------------


def test_people_are_told_that_nobody_verified_it_and_asked_every_time_it_changes(registrar):
    """Spec 1, Consent: asked again when the metadata changed."""
    body = registrar.registered(PUBLIC | {"client_name": "<b>Bank</b>\u202e"})
    client = OAuthClient(body["client_id"])
    browser = make_browser()
    page = get(browser, f"/authorize?{client.authorize_query()}")
    assert page.status_code == 200
    text = page.content.decode()
    assert "<b>Bank" not in text
    assert "\u202e" not in text
    assert "client.example" in text
    sign_in(browser, client)
    redeem(client, query_of(sign_in(browser, client))["code"])
    browser = make_browser()
    remembered = come_back(browser, start(browser, client), subject="ada")
    assert remembered.headers["Location"].startswith(client.redirect_uri)
    registrar.manage("PUT", body, PUBLIC | {"client_name": "Another bank"})
    asked = come_back(browser, start(browser, client, prompt="login"), subject="ada")
    assert not asked.headers["Location"].startswith(client.redirect_uri)
    assert consent(browser, asked).headers["Location"].startswith(client.redirect_uri)


def test_a_receiver_is_told_the_id_and_no_secret(registrar):
    told = []

    def receive(sender, **kwargs):
        told.append(kwargs)
        raise RuntimeError("a receiver that fails undoes nothing")

    client_registered.connect(receive)
    try:
        body = registrar.registered(CONFIDENTIAL)
    finally:
        client_registered.disconnect(receive)
    assert [set(one) for one in told] == [{"signal", "client_id"}]
    assert told[0]["client_id"] == body["client_id"]


# -- discovery and CORS ------------------------------------------------------------------------------------


def test_the_metadata_documents_point_at_the_endpoint():
    """Spec 7, Discovery."""
    documents = [
        get(make_browser(), f"/.well-known/{name}").json()
        for name in ("oauth-authorization-server", "openid-configuration")
    ]
    assert documents[0] == documents[1]
    assert documents[0]["registration_endpoint"] == "https://auth.example/register"
    assert "none" in documents[0]["token_endpoint_auth_methods_supported"]


@pytest.mark.parametrize("path", ["/register", "/register/", "/register/some-client"])
def test_a_preflight_is_answered_without_credentials(registrar, path):
    """Spec 7, CORS."""
    answer = registrar.send("OPTIONS", path, origin="https://client.example", secure=True)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "https://client.example"
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()
    expected = "POST" if path.rstrip("/").endswith("register") else "PUT"
    assert expected in answer.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_script_may_read_the_answer_and_the_error(registrar):
    for document, status in ((PUBLIC, 201), ({}, 400)):
        answer = registrar.register(document, origin="https://client.example")
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == "https://client.example"
        assert "Origin" in answer.headers["Vary"]


def test_a_server_on_loopback_hears_of_logouts_where_upstreams_may_live_there(registrar, lazyauth):
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    uri = "http://127.0.0.1:8000/out"
    assert registrar.registered({**PUBLIC, "backchannel_logout_uri": uri})["backchannel_logout_uri"] == uri


# -- keys instead of a secret ------------------------------------------------------------------------------------

KEY = ClientKey("ES256")
BY_KEY = PUBLIC | {"token_endpoint_auth_method": "private_key_jwt", "jwks": KEY.key_set}


def test_a_client_registers_its_key_and_gets_no_secret(registrar):
    """RFC 7591 §2. What it registered is echoed, and it authenticates with it."""
    body = registrar.registered(BY_KEY | {"token_endpoint_auth_signing_alg": "ES256"})
    assert "client_secret" not in body
    assert body["jwks"] == KEY.key_set
    assert body["token_endpoint_auth_signing_alg"] == "ES256"
    row = Application.objects.get()
    assert (row.client_type, row.client_secret) == ("confidential", "")
    client = OAuthClient(body["client_id"])
    code = code_for(client)
    assert redeem(client, code).status_code == 401
    assert redeem(client, code, **KEY.form(client.client_id)).status_code == 200


def test_a_client_registers_how_its_requests_come(registrar, lazyauth):
    """RFC 9126 §6, RFC 9101 §10.5, OpenID Connect Registration §2: kept, and echoed."""
    members = {
        "require_pushed_authorization_requests": True,
        "require_signed_request_object": True,
        "request_object_signing_alg": "ES256",
    }
    body = registrar.registered(BY_KEY | members)
    assert body["require_pushed_authorization_requests"] is True
    assert not {"require_signed_request_object", "request_object_signing_alg"} & set(body), "none are taken"
    lazyauth(REQUEST_OBJECTS=True)
    body = registrar.registered(BY_KEY | members)
    assert {name: body[name] for name in members} == members
    body = registrar.registered(BY_KEY | members | {"request_object_signing_alg": "none"})
    assert "request_object_signing_alg" not in body
    assert "require_signed_request_object" not in registrar.registered(PUBLIC | members), "it has no keys"


@pytest.mark.parametrize("name", ["require_pushed_authorization_requests", "require_signed_request_object"])
@pytest.mark.parametrize("value", ["true", 1, [], {}], ids=repr)
def test_a_flag_of_another_type_is_refused(registrar, lazyauth, name, value):
    """RFC 7591 §3.2.2."""
    lazyauth(REQUEST_OBJECTS=True)
    answer = registrar.register(BY_KEY | {name: value})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.parametrize(
    ("stated", "several", "kept"),
    [
        ("private_key_jwt", ["none", "private_key_jwt"], ["private_key_jwt", "none"]),
        (None, ["none", "private_key_jwt"], ["none", "private_key_jwt"]),
        ("private_key_jwt", ["client_secret_basic"], ["private_key_jwt", "client_secret_basic"]),
        ("client_secret_basic", ["none"], ["client_secret_basic"]),
        ("none", ["client_secret_basic", "client_secret_post"], ["none"]),
        ("tls_client_auth", ["client_secret_jwt", "private_key_jwt"], ["private_key_jwt"]),
    ],
)
def test_of_several_methods_those_that_go_together_are_kept(registrar, stated, several, kept):
    """OpenID Connect RP Metadata Choices §2. The answer says which. A client with a secret may not leave it away."""
    members = {"token_endpoint_auth_method": stated, "token_endpoint_auth_methods_supported": several}
    body = registrar.registered(BY_KEY | members)
    assert body["token_endpoint_auth_method"] == kept[0]
    assert body.get("token_endpoint_auth_methods_supported", [kept[0]]) == kept
    assert ("client_secret" in body) == any(method.startswith("client_secret") for method in kept)
    assert Application.objects.get().client_type == ("public" if "none" in kept else "confidential")


@pytest.mark.parametrize(
    "keys",
    [
        {"jwks": None},
        {"jwks": {"keys": []}},
        {"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}},
        {"jwks": {"keys": [KEY.public_jwk | {"use": "enc"}]}},
        {"jwks": None, "jwks_uri": "http://client.example/jwks"},
        {"jwks": {"keys": [KEY.private_jwk]}},
        {"jwks_uri": "https://client.example/jwks"},
    ],
    ids=["none", "an empty set", "no key", "for encryption", "by http", "a private key", "both"],
)
def test_a_method_without_keys_that_can_be_used_is_refused(registrar, keys):
    """RFC 7591 §2: nobody could ever authenticate with it. Both, or a private key, is an error whatever the method."""
    answer = registrar.register(BY_KEY | keys)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_a_client_moves_from_a_secret_to_a_key_and_back(registrar):
    """RFC 7592 §2.2: the secret ends at once, and a new one is made."""
    client = registrar.registered(CONFIDENTIAL)
    moved = registrar.manage("PUT", client, CONFIDENTIAL | BY_KEY).json()
    assert "client_secret" not in moved
    assert Application.objects.get().client_secret == ""
    back = registrar.manage("PUT", client | moved, CONFIDENTIAL).json()
    assert back["client_secret"] != client["client_secret"]
    assert "jwks" not in back


# -- what a client wants of its requests -----------------------------------------------------------------------


def test_an_age_that_a_client_registered_is_that_of_requests_without_one(registrar, any_store):
    """OpenID Connect Registration §2: ``default_max_age``. A request may say otherwise."""
    registered = registrar.registered(PUBLIC | {"default_max_age": 0})
    client = OAuthClient(registered["client_id"])
    browser = make_browser()
    redeem(client, code_for(client, browser=browser))
    asked = get(browser, f"/authorize?{client.authorize_query(prompt='none')}")
    assert query_of(asked.headers["Location"])["error"] == "login_required"
    asked = get(browser, f"/authorize?{client.authorize_query(prompt='none', max_age='3600')}")
    assert "code" in query_of(asked.headers["Location"])


def test_a_client_without_a_flow_is_told_so(registrar):
    """RFC 7591 §2: it needs no redirect URI, and nothing is left that is served here."""
    answer = registrar.register({"grant_types": ["client_credentials"]})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")
    assert "grant_types" in answer.json()["error_description"]
