"""Issue 6, done when 6: what the metadata says is on works, and what it does not say does not.

Every value that is registered for a member is tried against the running server, over HTTP, whether the document
names it or not; what comes of it is compared with the document.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from bs4 import BeautifulSoup

from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, query_of

pytestmark = pytest.mark.django_db(transaction=True)

PLACES = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


class Wire:
    """A person's browser and a client's HTTP, on the wire."""

    def __init__(self, url: str) -> None:
        self.url = url
        # The site of the test speaks no TLS. To load all certificates would take longer than most requests.
        self.http = httpx.Client(trust_env=False, verify=False, timeout=30, headers={"accept-language": "en"})
        self.document = self.http.get(url + PLACES[0]).json()

    def authorize(self, query: str):
        return self.http.get(f"{self.document['authorization_endpoint']}?{query}")

    def submit(self, page, **values):
        form = BeautifulSoup(page.text, "html.parser").find("form")
        fields = {i["name"]: i.get("value", "") for i in form.find_all("input") if i.get("name")}
        return self.http.post(self.url + form["action"], data=fields | values)

    def answer(self, query: str, redirect_uri: str) -> dict[str, str]:
        """Do what a person does until the client is told something; an error page tells it nothing."""
        response = self.authorize(query)
        for _ in range(6):
            location = response.headers.get("location", "")
            if location.startswith(redirect_uri):
                return query_of(location)
            if location.startswith("https://upstream.example"):
                callback = f"/callback/demo?state={query_of(location)['state']}&code=ada"
                response = self.http.get(self.url + callback)
            elif location:
                response = self.http.get(self.url + location)
            elif response.status_code != 200:
                return {"error": f"page {response.status_code}"}
            else:
                soup = BeautifulSoup(response.text, "html.parser")
                form = soup.find("form")
                if form is not None and form["action"].startswith(redirect_uri):
                    return {field["name"]: field["value"] for field in form.find_all("input")}
                is_consent = soup.find("button", {"name": "decision"}) is not None
                response = self.submit(
                    response, **({"decision": "allow"} if is_consent else {"provider": "demo"})
                )
        raise AssertionError("the flow does not end")

    def post(self, endpoint: str, form, **kwargs):
        return self.http.post(self.document[endpoint], data=form, **kwargs)

    def tokens(self, client: OAuthClient, **changes) -> dict:
        code = self.answer(client.authorize_query(**changes), client.redirect_uri)["code"]
        return self.post("token_endpoint", client.token_form(code)).json()


@pytest.fixture
def wire(live_server, settings):
    settings.DEBUG = True
    settings.LAZYAUTH = {**settings.LAZYAUTH, "ISSUER": live_server.url}
    wire = Wire(live_server.url)
    yield wire
    wire.http.close()


def says(wire, member, value) -> bool:
    return value in wire.document[member]


def test_both_documents_are_one(wire):
    """RFC 8414 §5."""
    documents = [wire.http.get(wire.url + place).json() for place in PLACES]
    assert documents[0] == documents[1]
    assert documents[0]["issuer"] == wire.url


# -- grants --------------------------------------------------------------------------------------------------

OTHER_GRANTS = {
    "implicit": {},
    "password": {"username": "ada", "password": "x"},
    "urn:ietf:params:oauth:grant-type:device_code": {"device_code": "x"},
    "urn:ietf:params:oauth:grant-type:jwt-bearer": {"assertion": "a.b.c"},
    "urn:ietf:params:oauth:grant-type:saml2-bearer": {"assertion": "x"},
    "urn:ietf:params:oauth:grant-type:token-exchange": {
        "subject_token": "x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    },
    "urn:openid:params:grant-type:ciba": {"auth_req_id": "x"},
    "urn:ietf:params:oauth:grant-type:uma-ticket": {"ticket": "x"},
}


def test_the_grants_that_are_named_work(wire, client_):
    """RFC 8414 §2: grant_types_supported."""
    worked = set()
    tokens = wire.tokens(client_)
    if "access_token" in tokens:
        worked.add("authorization_code")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    if wire.post("token_endpoint", form | {"client_id": client_.client_id}).status_code == 200:
        worked.add("refresh_token")
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    auth = ("machine", CONFIDENTIAL_SECRET)
    answer = wire.post("token_endpoint", {"grant_type": "client_credentials", "scope": "profile"}, auth=auth)
    if answer.status_code == 200:
        worked.add("client_credentials")
    assert worked == set(wire.document["grant_types_supported"])


@pytest.mark.parametrize("grant", OTHER_GRANTS)
def test_the_grants_that_are_not_named_do_not(wire, confidential, grant):
    """RFC 6749 §5.2."""
    form = {"grant_type": grant, "client_id": confidential.client_id, "client_secret": CONFIDENTIAL_SECRET}
    answer = wire.post("token_endpoint", form | OTHER_GRANTS[grant])
    assert not says(wire, "grant_types_supported", grant)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


# -- how clients authenticate ----------------------------------------------------------------------------------

METHODS = [
    "client_secret_basic",
    "client_secret_post",
    "none",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
]


def credentials(wire, method, client_id, settings) -> dict:
    """Return what a client sends that authenticates so: well made, so that only the method decides."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": wire.document["issuer"],
        "jti": secrets.token_hex(8),
        "iat": int(time.time()),
        "exp": int(time.time()) + 60,
    }
    assertion = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
    match method:
        case "client_secret_basic":
            secret = base64.b64encode(f"{client_id}:{CONFIDENTIAL_SECRET}".encode()).decode()
            return {"headers": {"authorization": f"Basic {secret}"}}
        case "client_secret_post":
            return {"form": {"client_id": client_id, "client_secret": CONFIDENTIAL_SECRET}}
        case "client_secret_jwt":
            signed = jwt.encode(claims, CONFIDENTIAL_SECRET, algorithm="HS256")
            return {"form": assertion | {"client_assertion": signed}}
        case "private_key_jwt":
            key = ClientKey("ES256")
            give_keys(client_id, key, token_endpoint_auth_methods_supported=[method, "client_secret_post"])
            return {"form": assertion | {"client_assertion": key.signed(claims)}}
    return {"form": {"client_id": client_id}}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("endpoint", ["token", "revocation", "introspection"])
def test_the_ways_to_authenticate_are_those_that_are_named(
    wire, settings, confidential, client_, endpoint, method
):
    """RFC 8414 §2: *_endpoint_auth_methods_supported."""
    client = client_ if method == "none" else confidential
    sent = credentials(wire, method, client.client_id, settings)
    headers, form = sent.get("headers"), sent.get("form", {})
    if endpoint == "token":
        code = wire.answer(client.authorize_query(), client.redirect_uri)["code"]
        grant = client.token_form(code)
        grant = {name: grant[name] for name in ("grant_type", "code", "redirect_uri", "code_verifier")}
    else:
        grant = {"token": wire.tokens(client)["access_token"]}
    answer = wire.post(f"{endpoint}_endpoint", grant | form, headers=headers)
    if endpoint == "introspection" and answer.status_code == 200:
        assert answer.json()["active"] is True
    worked = answer.status_code == 200
    assert worked == says(wire, f"{endpoint}_endpoint_auth_methods_supported", method)
    if not worked:
        assert answer.status_code in {400, 401}, answer.text
        assert answer.json()["error"] in {"invalid_client", "invalid_request"}


# -- the authorization request ---------------------------------------------------------------------------------

RESPONSE_TYPES = [
    "code",
    "token",
    "id_token",
    "code token",
    "code id_token",
    "id_token token",
    "code id_token token",
    "none",
]


@pytest.mark.parametrize("response_type", RESPONSE_TYPES)
def test_the_response_types_are_those_that_are_named(wire, client_, response_type):
    """OAuth 2.0 Multiple Response Types."""
    answer = wire.answer(client_.authorize_query(response_type=response_type), client_.redirect_uri)
    assert ("code" in answer) == says(wire, "response_types_supported", response_type)
    assert "code" in answer or answer["error"] == "unsupported_response_type"


@pytest.mark.parametrize(
    "mode",
    ["query", "fragment", "form_post", "web_message", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"],
)
def test_the_response_modes_are_those_that_are_named(wire, client_, mode):
    answer = wire.answer(client_.authorize_query(response_mode=mode), client_.redirect_uri)
    assert ("code" in answer) == says(wire, "response_modes_supported", mode)
    assert "code" in answer or answer["error"] == "invalid_request"


@pytest.mark.parametrize("method", ["S256", "plain", "S512", None])
def test_the_pkce_methods_are_those_that_are_named(wire, client_, method):
    """RFC 7636 §4.3: without one it is plain."""
    if method in ("plain", None):
        query = client_.authorize_query(code_challenge_method=method, code_challenge=client_.verifier)
    else:
        query = client_.authorize_query(code_challenge_method=method)
    answer = wire.answer(query, client_.redirect_uri)
    worked = "code" in answer and wire.post("token_endpoint", client_.token_form(answer["code"])).is_success
    assert worked == says(wire, "code_challenge_methods_supported", method)


@pytest.mark.parametrize("prompt", ["none", "login", "consent", "select_account", "create", "bogus"])
def test_the_prompts_are_those_that_are_named(wire, client_, prompt):
    """OpenID Connect Core §3.1.2.1, Initiating User Registration §4.1."""
    answer = wire.answer(client_.authorize_query(prompt=prompt), client_.redirect_uri)
    expected = {"none": "login_required"}.get(prompt, "")
    if says(wire, "prompt_values_supported", prompt):
        assert answer.get("error", "") == expected
    else:
        assert answer["error"] == "invalid_request"


@pytest.mark.parametrize("scope", ["address", "phone", "upstream:demo", "admin"])
def test_a_scope_that_is_not_named_is_none(wire, client_, scope):
    """RFC 6749 §3.3."""
    assert not says(wire, "scopes_supported", scope)
    answer = wire.answer(client_.authorize_query(scope=f"openid {scope}"), client_.redirect_uri)
    assert answer["error"] == "invalid_scope"


def test_the_scopes_that_are_named_are_granted(wire, client_):
    scopes = wire.document["scopes_supported"]
    assert set(wire.tokens(client_, scope=" ".join(scopes))["scope"].split()) == set(scopes)


@pytest.mark.parametrize(
    ("parameter", "member"),
    [
        ("request", "request_parameter_supported"),
        ("request_uri", "request_uri_parameter_supported"),
        ("registration", None),
    ],
)
def test_request_objects_are_off_as_it_says(wire, client_, parameter, member):
    """OpenID Connect Core §6."""
    assert member is None or wire.document[member] is False
    answer = wire.answer(client_.authorize_query(**{parameter: "x"}), client_.redirect_uri)
    assert answer["error"] == f"{parameter}_not_supported"


def test_the_claims_parameter_is_read_as_it_says(wire, client_):
    """OpenID Connect Core §5.5: what is not held about a person is left out, also where it is essential."""
    assert wire.document["claims_parameter_supported"] is True
    wanted = {"id_token": {"sub": {"value": "nobody-of-this-site"}}}
    refused = wire.answer(client_.authorize_query(claims=json.dumps(wanted)), client_.redirect_uri)
    assert refused["error"] == "login_required"
    asked = json.dumps({"id_token": {"phone_number": {"essential": True}, "picture": None}})
    token = wire.tokens(client_, claims=asked)["id_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert not {"phone_number", "picture"} & set(claims)
    assert set(claims) - {"jti", "at_hash"} <= set(wire.document["claims_supported"])


def test_answers_and_errors_name_the_issuer_as_it_says(wire, client_):
    """RFC 9207 §3."""
    assert wire.document["authorization_response_iss_parameter_supported"] is True
    for query in (client_.authorize_query(), client_.authorize_query(response_type="token")):
        assert wire.answer(query, client_.redirect_uri)["iss"] == wire.url


# -- signatures and subjects ------------------------------------------------------------------------------------


def test_id_tokens_are_signed_as_it_says(wire, client_):
    """OpenID Connect Discovery §3, RFC 7517."""
    token = wire.tokens(client_)["id_token"]
    algorithm = jwt.get_unverified_header(token)["alg"]
    assert says(wire, "id_token_signing_alg_values_supported", algorithm)
    key = jwt.PyJWKClient(wire.document["jwks_uri"]).get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token,
        key,
        algorithms=wire.document["id_token_signing_alg_values_supported"],
        audience=client_.client_id,
        issuer=wire.url,
    )
    listed = {each["alg"] for each in wire.http.get(wire.document["jwks_uri"]).json()["keys"]}
    assert listed == set(wire.document["id_token_signing_alg_values_supported"])
    assert claims["sid"]


def test_everybody_has_one_subject_as_it_says(wire, client_, confidential):
    """OpenID Connect Core §8: public, and not pairwise."""
    assert wire.document["subject_types_supported"] == ["public"]
    subjects = {
        jwt.decode(wire.tokens(client)["id_token"], options={"verify_signature": False})["sub"]
        for client in (client_, confidential)
    }
    assert len(subjects) == 1


# -- endpoints --------------------------------------------------------------------------------------------------

#: Every endpoint that the IANA registries know, and where stock servers (django-oauth-toolkit too) have it.
ENDPOINTS = {
    "authorization_endpoint": ["/authorize"],
    "token_endpoint": ["/token"],
    "userinfo_endpoint": ["/userinfo"],
    "revocation_endpoint": ["/revoke_token"],
    "introspection_endpoint": ["/introspect"],
    "jwks_uri": ["/.well-known/jwks.json"],
    "registration_endpoint": ["/register"],
    "end_session_endpoint": ["/logout"],
    "device_authorization_endpoint": ["/device_authorization", "/device-authorization", "/device"],
    "pushed_authorization_request_endpoint": ["/par"],
    "backchannel_authentication_endpoint": ["/bc-authorize"],
    "check_session_iframe": ["/check-session"],
    "mtls_endpoint_aliases": [],
    "signed_metadata": [],
}


@pytest.mark.parametrize("member", ENDPOINTS)
def test_the_endpoints_are_those_that_are_named(wire, member):
    """RFC 8414 §2 and the registries: what is named answers; what is not is not there."""
    named = wire.document.get(member)
    if named is None:
        for path in ENDPOINTS[member]:
            for method in ("GET", "POST"):
                assert wire.http.request(method, wire.url + path).status_code == 404
        return
    assert named == wire.url + ENDPOINTS[member][0]
    assert wire.http.request("OPTIONS" if member == "token_endpoint" else "GET", named).status_code != 404
    assert urlsplit(named).path == ENDPOINTS[member][0]


@pytest.mark.parametrize(("policy", "status"), [("open", 201), ("token", 401), ("closed", 403)])
def test_registration_is_named_where_somebody_may_register(wire, lazyauth, policy, status):
    """RFC 7591 §3: named unless nobody can."""
    lazyauth(REGISTRATION_POLICY=policy)
    documents = [wire.http.get(wire.url + place).json() for place in PLACES]
    body = {"redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "none"}
    answer = wire.http.post(f"{wire.url}/register", json=body)
    assert answer.status_code == status
    assert {"registration_endpoint" in found for found in documents} == {policy != "closed"}


@pytest.mark.parametrize("method", METHODS)
def test_a_client_may_register_for_the_methods_that_are_named(wire, method):
    """RFC 7591 §2."""
    body = {"redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": method}
    if method == "private_key_jwt":
        body["jwks"] = ClientKey("ES256").key_set
    answer = wire.http.post(wire.document["registration_endpoint"], json=body)
    assert (answer.status_code == 201) == says(wire, "token_endpoint_auth_methods_supported", method)


def test_logout_is_as_it_says(wire):
    """RP-Initiated Logout §2.1, Back-Channel Logout §2.1; front-channel logout and session management are off."""
    assert wire.document["backchannel_logout_supported"] is True
    assert wire.document["backchannel_logout_session_supported"] is True
    assert not wire.document.get("frontchannel_logout_supported")
    assert "check_session_iframe" not in wire.document
    uri = "https://client.example/logout"
    body = {"redirect_uris": ["https://client.example/cb"], "backchannel_logout_uri": uri}
    answer = wire.http.post(wire.document["registration_endpoint"], json=body)
    assert answer.json()["backchannel_logout_uri"] == uri


@pytest.mark.parametrize(
    "member",
    [
        "tls_client_certificate_bound_access_tokens",
        "require_pushed_authorization_requests",
        "id_token_encryption_alg_values_supported",
        "request_object_signing_alg_values_supported",
        "authorization_signing_alg_values_supported",
        "acr_values_supported",
    ],
)
def test_nothing_is_named_that_is_not_there(wire, client_, member):
    assert not wire.document.get(member)


def test_the_resource_takes_tokens_as_it_says(wire, client_):
    """RFC 9728 §2: bearer_methods_supported."""
    found = wire.http.get(f"{wire.url}/.well-known/oauth-protected-resource").json()
    assert found["bearer_methods_supported"] == ["header"]
    assert found["authorization_servers"] == [wire.document["issuer"]]
    # What a client needs here is said by the challenges, and by PROTECTED_RESOURCES.
    assert "scopes_supported" not in found
    token = wire.tokens(client_)["access_token"]
    userinfo = wire.document["userinfo_endpoint"]
    ways = {
        "header": wire.http.get(userinfo, headers={"authorization": f"Bearer {token}"}),
        "body": wire.http.post(userinfo, data={"access_token": token}),
        "query": wire.http.get(f"{userinfo}?access_token={token}"),
    }
    worked = [way for way, answer in ways.items() if answer.status_code == 200]
    assert worked == found["bearer_methods_supported"]
