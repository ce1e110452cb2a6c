"""Spec 7, Discovery: one document in two places, and never an invented issuer."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.test import Client
from django.urls import resolve
from django.utils.translation import gettext_lazy

from django_lazyauth.conf.messages import refused_values
from tests.support.journey import (
    ISSUER,
    code_for,
    consent,
    get,
    make_browser,
    post_form,
    query_of,
    redeem,
    sign_in,
    submit,
)

pytestmark = pytest.mark.django_db

RFC8414 = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
PLACES = [RFC8414, OPENID, f"{RFC8414}/", f"{OPENID}/"]
BELOW = "https://auth.example/oauth"
NAMED = ["/mcp", "/café"]


@pytest.fixture
def below_a_path(settings, lazyauth):
    settings.ROOT_URLCONF = "tests.web.urls_below_a_path"
    lazyauth(ISSUER=BELOW)


def document(path, **kwargs):
    response = get(make_browser(), path, **kwargs)
    assert response.status_code == 200, path
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


# -- what it says ----------------------------------------------------------------------------------------


def test_both_documents_are_one():
    """RFC 8414 §5: the two standards, one content."""
    documents = [document(place) for place in PLACES]
    assert all(one == documents[0] for one in documents)
    assert documents[0]["issuer"] == ISSUER


def test_the_document_says_what_is_on_and_nothing_else():
    """RFC 8414 §2, OpenID Connect Discovery §3, RFC 9207 §3."""
    found = document(RFC8414)
    assert found["response_types_supported"] == ["code"]
    assert found["response_modes_supported"] == ["query", "form_post"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["request_parameter_supported"] is False
    assert found["request_uri_parameter_supported"] is False
    assert "request_object_signing_alg_values_supported" not in found
    assert "require_pushed_authorization_requests" not in found
    assert found["claims_parameter_supported"] is True
    assert set(found["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "none",
    }
    for endpoint in ("token", "revocation", "introspection"):
        signing = set(found[f"{endpoint}_endpoint_auth_signing_alg_values_supported"])
        assert signing == {"ES256", "PS256", "RS256", "EdDSA", "Ed25519"}
    assert "none" not in found["introspection_endpoint_auth_methods_supported"]
    assert {"authorization_code", "refresh_token"} <= set(found["grant_types_supported"])
    assert not {"implicit", "password"} & set(found["grant_types_supported"])
    assert {"openid", "profile", "email", "offline_access"} <= set(found["scopes_supported"])
    assert found["subject_types_supported"] == ["public"]
    assert set(found["prompt_values_supported"]) == {"none", "login", "consent", "select_account", "create"}


def test_the_document_says_how_requests_may_come(lazyauth):
    """RFC 9126 §5, RFC 9101 §10.5: each member only while it is true."""
    assert document(RFC8414)["pushed_authorization_request_endpoint"] == f"{ISSUER}/par"
    lazyauth(REQUIRE_PAR=True, REQUEST_OBJECTS=True)
    found = document(RFC8414)
    assert found["require_pushed_authorization_requests"] is True
    assert found["request_parameter_supported"] is True
    assert found["request_uri_parameter_supported"] is False
    signing = set(found["request_object_signing_alg_values_supported"])
    assert signing == {"ES256", "PS256", "RS256", "EdDSA", "Ed25519"}


def test_every_endpoint_that_is_named_is_one_of_ours():
    """Spec 7: a URL in the document answers, and is absolute on the issuer's origin."""
    found = document(RFC8414)
    named = {name: url for name, url in found.items() if name.endswith(("_endpoint", "_uri"))}
    assert {
        "authorization_endpoint",
        "token_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
        "userinfo_endpoint",
        "pushed_authorization_request_endpoint",
        "jwks_uri",
    } <= set(named)
    for url in named.values():
        assert url.startswith(f"{ISSUER}/")
        assert resolve(urlsplit(url).path)


def test_what_the_document_supports_is_what_the_endpoints_accept(client_):
    """Spec 7: it tells what is on; each scope and each grant that it names is known."""
    found = document(RFC8414)
    location = sign_in(make_browser(), client_, scope=" ".join(found["scopes_supported"]))
    granted = redeem(client_, query_of(location)["code"]).json()["scope"]
    assert set(granted.split()) == set(found["scopes_supported"])
    for grant_type in found["grant_types_supported"]:
        answer = make_browser().post(
            "/token",
            f"grant_type={grant_type}",
            content_type="application/x-www-form-urlencoded",
            secure=True,
        )
        assert answer.json()["error"] != "unsupported_grant_type"


def test_claims_that_a_token_brings_are_listed(client_):
    """OpenID Connect Discovery §3."""
    body = redeem(client_, code_for(client_)).json()
    info = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {body['access_token']}"})
    assert set(info.json()) <= set(document(OPENID)["claims_supported"])
    assert "email" in info.json()


def test_the_keys_are_public_and_of_the_algorithms_that_are_listed(settings, lazyauth):
    """RFC 7517 §5: and nothing of the private halves."""

    def pem(key):
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    lazyauth(
        SIGNING_KEYS=[
            pem(ec.generate_private_key(ec.SECP256R1())),
            settings.SIGNING_KEY,
            pem(ed25519.Ed25519PrivateKey.generate()),
        ]
    )
    keys = document("/.well-known/jwks.json")["keys"]
    assert [key["alg"] for key in keys] == ["ES256", "RS256", "EdDSA"]
    assert document(OPENID)["id_token_signing_alg_values_supported"] == ["ES256", "RS256", "EdDSA"]
    assert len({key["kid"] for key in keys}) == 3
    for key in keys:
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set(key)


# -- where it is -----------------------------------------------------------------------------------------


def test_an_issuer_with_a_path_is_served_at_both_places(below_a_path):
    """RFC 8414 §3.1, OpenID Connect Discovery §4.1."""
    places = [
        f"{RFC8414}/oauth",
        f"{OPENID}/oauth",
        f"/oauth{RFC8414}",
        f"/oauth{OPENID}",
    ]
    documents = [document(place) for place in places]
    assert all(found == documents[0] for found in documents)
    assert documents[0]["issuer"] == BELOW
    assert documents[0]["token_endpoint"] == f"{BELOW}/token"
    assert documents[0]["jwks_uri"] == f"{BELOW}/.well-known/jwks.json"
    assert document("/oauth/.well-known/jwks.json")["keys"]


@pytest.mark.parametrize(
    "path",
    [
        RFC8414,
        OPENID,
        f"{RFC8414}/other",
        f"{OPENID}/other",
        f"{OPENID}/oauth/other",
        f"{OPENID}/OAUTH",
        f"{RFC8414}/oaut",
        f"/oauth{OPENID}/other",
        f"/other{OPENID}",
    ],
)
def test_beside_an_issuer_with_a_path_there_is_no_other(below_a_path, path):
    """RFC 8414 §3.3: the document at a place is of the issuer of that place."""
    assert get(make_browser(), path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        f"{RFC8414}/mcp",
        f"{OPENID}/mcp",
        f"{OPENID}/evil.test",
        f"{RFC8414}/https://evil.test",
        f"/mcp{OPENID}",
    ],
)
def test_beside_an_issuer_at_the_root_there_is_no_other(path):
    """Spec 7: an unknown path is 404, never an invented issuer."""
    assert get(make_browser(), path).status_code == 404


@pytest.mark.parametrize("path", [*PLACES, "/.well-known/jwks.json", "/.well-known/oauth-protected-resource"])
def test_the_issuer_never_comes_from_the_request(settings, path):
    """Spec 7: whatever Host and its relatives say."""
    settings.ALLOWED_HOSTS = ["*"]
    settings.USE_X_FORWARDED_HOST = True
    forged = document(
        path,
        SERVER_NAME="evil.test",
        HTTP_X_FORWARDED_HOST="evil.test",
        HTTP_X_FORWARDED_PROTO="http",
        HTTP_FORWARDED="host=evil.test;proto=http",
    )
    assert forged == document(path)
    assert "evil" not in json.dumps(forged)


@pytest.mark.parametrize(
    "issuer", ["https://auth.example", "https://auth.example/", "https://auth.example:8443"]
)
def test_the_issuer_is_the_configured_string(lazyauth, client_, issuer):
    """RFC 8414 §3.3: clients compare it as a string; document, ID token and answers agree."""
    lazyauth(ISSUER=issuer)
    found = document(OPENID)
    assert found["issuer"] == issuer
    assert found["token_endpoint"] == issuer.rstrip("/") + "/token"
    location = sign_in(make_browser(), client_)
    assert query_of(location)["iss"] == issuer


def test_the_whole_journey_works_below_a_path(below_a_path, client_):
    """Spec 7: the documented set-ups are root and path."""
    browser = make_browser()
    page = get(browser, f"/oauth/authorize?{client_.authorize_query()}")
    upstream = submit(browser, page, provider="demo")
    callback = query_of(upstream.headers["Location"])["redirect_uri"]
    assert callback == f"{BELOW}/callback/demo"
    state = query_of(upstream.headers["Location"])["state"]
    answer = consent(browser, get(browser, f"{urlsplit(callback).path}?state={state}&code=ada"))
    query = query_of(answer.headers["Location"])
    assert query["iss"] == BELOW
    token = post_form(make_browser(), "/oauth/token", client_.token_form(query["code"]))
    assert token.status_code == 200, token.content


def test_the_resources_of_this_site_name_our_issuer(lazyauth):
    """RFC 9728 §3.1."""
    lazyauth(PROTECTED_RESOURCES=["/mcp"])
    found = document("/.well-known/oauth-protected-resource/mcp")
    assert found["resource"] == f"{ISSUER}/mcp"
    assert found["authorization_servers"] == [ISSUER]
    assert document("/.well-known/oauth-protected-resource")["resource"] == ISSUER


def test_a_resource_at_the_root_is_described_with_and_without_its_slash():
    """RFC 9728 §3.1: the slash is to be removed, and a client may forget to."""
    place = "/.well-known/oauth-protected-resource"
    assert document(f"{place}/") == document(place)


def test_a_resource_names_the_least_that_it_needs(lazyauth):
    """RFC 9728 §2: what the operator says, and nothing where they say nothing."""
    place = "/.well-known/oauth-protected-resource"
    assert "scopes_supported" not in document(place)
    lazyauth(PROTECTED_RESOURCES={"/mcp": {"scopes": ["tools:read"]}, "/mcp/admin": {}})
    assert document(f"{place}/mcp")["scopes_supported"] == ["tools:read"]
    assert "scopes_supported" not in document(f"{place}/mcp/admin")
    assert "scopes_supported" not in document(place)


def test_a_resource_has_the_name_that_people_see(lazyauth):
    """RFC 9728 §2, §2.1: in the site's language, and with a tag in each other, whoever asks."""
    place = "/.well-known/oauth-protected-resource"
    lazyauth(
        RESOURCE_NAMES={"/mcp": gettext_lazy("Your account"), "/café": "Coffee"}, PROTECTED_RESOURCES=NAMED
    )
    assert "resource_name" not in document(place)
    assert document(f"{place}/caf%C3%A9")["resource_name"] == "Coffee"
    found = document(f"{place}/mcp", headers={"accept-language": "fr"})
    names = {member: words for member, words in found.items() if member.startswith("resource_name")}
    assert names["resource_name"] == "Your account"
    assert names["resource_name#de"] == "Ihr Konto"
    assert {"resource_name#pt-BR", "resource_name#zh-Hans"} < names.keys()
    assert len(names) == 12
    assert "resource_name#en" not in names


@pytest.mark.parametrize(
    "key", ["mcp", "", "https://", "https://a.example/#part", "https://me@a.example", "a b"]
)
def test_what_is_no_resource_has_no_name(lazyauth, key):
    lazyauth(RESOURCE_NAMES={key: "Notes"})
    assert [error.id for error in refused_values(["RESOURCE_NAMES"])] == ["lazyauth.E003"]


@pytest.mark.parametrize(
    "value",
    [
        {"/mcp": {"scopes": ["tools:read", "openid"]}},
        {"/mcp": {"scopes": "tools:read"}},
        {"/mcp": {"scopes": ["two words"]}},
        {"/mcp": {"scope": ["tools:read"]}},
        {"/mcp": ["tools:read"]},
        {"mcp": {}},
        "/mcp",
    ],
    ids=["of the sign-in", "a text", "a blank", "another name", "a list", "no path", "no list"],
)
def test_what_cannot_be_said_of_a_resource_is_an_error_of_the_check(lazyauth, value):
    lazyauth(PROTECTED_RESOURCES=value)
    found = list(refused_values(["PROTECTED_RESOURCES"]))
    assert [error.id for error in found] == ["lazyauth.E003"]
    assert "PROTECTED_RESOURCES" in found[0].msg


def test_context_classes_are_named_where_the_operator_has_some(lazyauth):
    """OpenID Connect Discovery §3: acr_values_supported."""
    place = "/.well-known/openid-configuration"
    assert "acr_values_supported" not in document(place)
    lazyauth(ACR_VALUES=["urn:example:pwd", "urn:example:mfa"])
    assert document(place)["acr_values_supported"] == ["urn:example:pwd", "urn:example:mfa"]


@pytest.mark.parametrize(
    ("path", "resource"),
    [("mcp", "/mcp"), ("mcp/", "/mcp/"), ("a/b", "/a/b"), ("caf%C3%A9/%22", "/caf%C3%A9/%22")],
)
def test_a_resource_is_named_as_it_was_requested(path, resource, lazyauth):
    """RFC 9728 §3.3: identical to the URL of the request, or the client must not use the document."""
    lazyauth(PROTECTED_RESOURCES=["/mcp", "/a/b", '/café/"'])
    found = document(f"/.well-known/oauth-protected-resource/{path}")
    assert found["resource"] == f"{ISSUER}{resource}"


# -- who may read it -------------------------------------------------------------------------------------


def test_what_is_no_resource_of_this_site_is_not_described(lazyauth):
    """RFC 9728 §3: the document of a resource, not of any path that somebody thinks of."""
    place = "/.well-known/oauth-protected-resource"
    assert get(make_browser(), f"{place}/mcp").status_code == 404
    assert document(f"{place}/userinfo")["resource"] == f"{ISSUER}/userinfo"
    lazyauth(UPSTREAM_SWAP={"paths": {"/tools/": "demo"}})
    for path in ("tools", "tools/notes"):
        assert document(f"{place}/{path}")["resource"] == f"{ISSUER}/{path}"
    assert get(make_browser(), f"{place}/toolsmith").status_code == 404
    lazyauth(PROTECTED_RESOURCES=["/mcp/"])
    assert document(f"{place}/mcp")["resource"] == f"{ISSUER}/mcp"
    for path in ("userinfo", "tools", "mcp/x", "https://evil.test", "%00", "x" * 3000):
        assert get(make_browser(), f"{place}/{path}").status_code == 404


@pytest.mark.parametrize(
    "path", [*PLACES, "/.well-known/jwks.json", "/.well-known/oauth-protected-resource/userinfo"]
)
def test_every_origin_may_read_the_documents_and_keep_them_for_a_while(path):
    """Spec 7, CORS: without credentials."""
    response = get(make_browser(), path, headers={"origin": "https://anywhere.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert response.headers["Cache-Control"].startswith("public, max-age=")
    assert not response.cookies
    preflight = make_browser().options(
        path,
        secure=True,
        headers={
            "origin": "https://anywhere.example",
            "access-control-request-method": "GET",
            "access-control-request-headers": "mcp-protocol-version",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] in {"*", "https://anywhere.example"}
    assert "GET" in preflight.headers["Access-Control-Allow-Methods"]
    assert "mcp-protocol-version" in preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Credentials" not in preflight.headers


@pytest.mark.parametrize("path", [RFC8414, OPENID, "/.well-known/jwks.json"])
def test_the_documents_are_for_reading(path):
    """RFC 9110 §15.5.6."""
    browser = make_browser()
    assert browser.head(path, secure=True).status_code == 200
    for method in ("post", "put", "delete", "patch"):
        response = getattr(browser, method)(path, secure=True)
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


def test_scopes_that_nobody_configured_are_not_advertised():
    """RFC 8414 §2: `read` and `write` are what django-oauth-toolkit has where its settings are silent."""
    supported = document("/.well-known/oauth-authorization-server")["scopes_supported"]
    assert not {"read", "write"} & set(supported)
    assert "openid" in supported


def test_scopes_that_the_host_configured_are_advertised(settings, lazyauth):
    lazyauth(SCOPES={"write": "Write"})
    settings.OAUTH2_PROVIDER = {"SCOPES": {"read": "Read", "openid": "You"}}
    found = Client().get("/.well-known/oauth-authorization-server", secure=True).json()
    assert {"read", "write", "openid"} <= set(found["scopes_supported"])
    settings.OAUTH2_PROVIDER = {}
    found = Client().get("/.well-known/oauth-authorization-server", secure=True).json()
    assert "write" in found["scopes_supported"]
    assert "read" not in found["scopes_supported"]
