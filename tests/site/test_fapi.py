"""``PROFILE = "fapi2"``: the FAPI 2.0 Security Profile, as far as a server can keep it for its clients (§5.3.2)."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.urls import include, path
from oauth2_provider.models import AccessToken, Application, RefreshToken

from django_lazyauth.clients.operator_actions import issue_initial_access_token
from django_lazyauth.conf import Refused, lazyauth_settings
from django_lazyauth.models import InitialAccessToken, PendingAuthorization
from tests.clients.conftest import Registrar
from tests.clients.test_documents import documents  # noqa: F401 - a fixture
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.dpop import key_of
from tests.support.journey import (
    ISSUER,
    OAuthClient,
    come_back,
    consent,
    get,
    make_browser,
    post_form,
    query_of,
    submit,
)
from tests.support.pushes import link, parameters
from tests.web.test_truth_of_settings import es256_key

pytestmark = pytest.mark.django_db

KEY = ClientKey("ES256")
PROOF_KEY = key_of("ES256")
GRANTS = ["authorization_code", "refresh_token", "client_credentials"]


@pytest.fixture(autouse=True)
def _profile(lazyauth):
    lazyauth(PROFILE="fapi2", SIGNING_KEYS=[es256_key()])


@pytest.fixture
def keyed() -> OAuthClient:
    """An operator's client with a key."""
    register(client_id="keyed", client_type="confidential")
    give_keys("keyed", KEY, grant_types=GRANTS)
    return OAuthClient("keyed")


def prove(path: str, key=PROOF_KEY, **changes) -> dict[str, str]:
    return {"DPoP": key.proof(f"https://auth.example{path}", **changes)}


def send(path, form, *, key: ClientKey | None = KEY, proof=True, client_id="keyed", **changes):
    sent = form | (key.form(client_id, **changes) if key else {})
    return post_form(make_browser(), path, sent, headers=prove(path) if proof else {})


def push(client, *, proof=True, **changes):
    form = {name: value for name, value in (parameters(client) | changes).items() if value is not None}
    return send("/par", form, proof=proof, client_id=client.client_id)


def code_of(client, *, proof=True) -> str:
    """Go the whole way of a person from a pushed request. A proof with it binds the code already (RFC 9449 §10.1)."""
    browser = make_browser()
    page = get(browser, link(client.client_id, push(client, proof=proof).json()["request_uri"]))
    answer = consent(browser, come_back(browser, submit(browser, page, provider="demo"), subject="ada"))
    return query_of(answer.headers["Location"])["code"]


def told(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


# -- what is taken -------------------------------------------------------------------------------------------


def test_a_client_with_key_push_and_proof_gets_bound_tokens(keyed):
    """§5.3.2.1: sender-constrained, by a client that proved itself; refreshed, introspected and revoked."""
    answer = send("/token", keyed.token_form(code_of(keyed)))
    assert answer.status_code == 200, answer.content
    tokens = answer.json()
    assert tokens["token_type"] == "DPoP"
    header = json.loads(base64.urlsafe_b64decode(tokens["id_token"].split(".")[0] + "=="))
    assert header["alg"] == "ES256"
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    renewed = send("/token", form).json()
    assert renewed["token_type"] == "DPoP"
    described = send("/introspect", {"token": renewed["access_token"]}, proof=False).json()
    assert described["active"] is True
    assert described["cnf"]["jkt"] == PROOF_KEY.thumbprint
    assert send("/revoke_token", {"token": renewed["access_token"]}, proof=False).status_code == 200
    assert send("/introspect", {"token": renewed["access_token"]}, proof=False).json() == {"active": False}


def test_a_challenge_names_the_algorithms_of_the_profile_only(keyed):
    """§5.4.1: userinfo refuses what it would otherwise ask for."""
    token = send("/token", keyed.token_form(code_of(keyed))).json()["access_token"]
    answer = get(make_browser(), "/userinfo", headers={"authorization": f"DPoP {token}"})
    assert 'algs="ES256 PS256 EdDSA Ed25519"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA", "Ed25519"])
def test_the_algorithms_of_the_profile_are_taken(keyed, algorithm):
    """§5.4.1."""
    key = ClientKey(algorithm)
    give_keys("keyed", key, grant_types=GRANTS)
    form = {"grant_type": "client_credentials", "scope": "profile"} | key.form("keyed")
    answer = post_form(make_browser(), "/token", form, headers=prove("/token", key_of(algorithm)))
    assert answer.status_code == 200, answer.content
    assert answer.json()["token_type"] == "DPoP"


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["/token", "/par", "/revoke_token", "/introspect"])
@pytest.mark.parametrize("method", ["basic", "post", "none"])
def test_no_client_passes_without_a_key(confidential, client_, endpoint, method):
    """§5.3.2.1: confidential clients only, by ``private_key_jwt`` only."""
    client = client_ if method == "none" else confidential
    forms = {
        "/token": {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43},
        "/par": parameters(client),
        "/revoke_token": {"token": "x"},
        "/introspect": {"token": "x"},
    }
    form, headers = forms[endpoint] | {"client_id": client.client_id}, prove(endpoint)
    if method == "post":
        form["client_secret"] = CONFIDENTIAL_SECRET
    elif method == "basic":
        given = base64.b64encode(f"{client.client_id}:{CONFIDENTIAL_SECRET}".encode()).decode()
        headers["authorization"] = f"Basic {given}"
    answer = post_form(make_browser(), endpoint, form, headers=headers)
    assert told(answer) == (401, "invalid_client")
    assert "key" in answer.json()["error_description"]


def test_a_plain_request_is_refused_at_the_redirect_uri(keyed):
    """§5.3.2.2: pushed requests only."""
    answer = get(make_browser(), f"/authorize?{keyed.authorize_query()}")
    assert query_of(answer.headers["Location"])["error"] == "invalid_request"
    assert not PendingAuthorization.objects.exists()


def test_a_pushed_request_names_its_redirect_uri(keyed):
    """§5.3.2.2: also where there is one only."""
    assert told(push(keyed, redirect_uri=None)) == (400, "invalid_request")
    assert push(keyed).status_code == 201


@pytest.mark.parametrize("endpoint", ["/token", "/par", "/revoke_token", "/introspect"])
@pytest.mark.parametrize(
    ("key", "changes"),
    [(ClientKey("RS256"), {}), (KEY, {"aud": [ISSUER]}), (KEY, {"aud": [ISSUER, "https://other.example"]})],
    ids=["RS256", "a list", "two"],
)
def test_a_weaker_assertion_proves_nothing(keyed, endpoint, key, changes):
    """§5.4.1, and §5.3.2.1: the issuer as ``aud``, as a text."""
    give_keys("keyed", key, grant_types=GRANTS)
    form = {"grant_type": "client_credentials", "token": "x"} | parameters(keyed)
    assert told(send(endpoint, form, key=key, **changes)) == (401, "invalid_client")


@pytest.mark.parametrize("proof", [None, "RS256"])
def test_no_token_goes_without_a_strong_proof(keyed, proof):
    """§5.3.2.1: sender-constrained tokens only. The code is good for the next request."""
    code = code_of(keyed, proof=False)
    for form in (keyed.token_form(code), {"grant_type": "client_credentials", "scope": "profile"}):
        headers = prove("/token", key_of(proof)) if proof else {}
        answer = post_form(make_browser(), "/token", form | KEY.form("keyed"), headers=headers)
        assert told(answer) == (400, "invalid_dpop_proof")
    assert not AccessToken.objects.exists()
    assert send("/token", keyed.token_form(code)).status_code == 200


def test_a_session_that_began_as_a_bearer_goes_on_bound_only(keyed, lazyauth):
    """A site that takes the profile up later."""
    lazyauth(PROFILE=None)
    browser = make_browser()
    page = get(browser, f"/authorize?{keyed.authorize_query()}")
    answer = consent(browser, come_back(browser, submit(browser, page, provider="demo"), subject="ada"))
    form = keyed.token_form(query_of(answer.headers["Location"])["code"])
    token = send("/token", form, proof=False).json()["refresh_token"]
    lazyauth(PROFILE="fapi2")
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert told(send("/token", form, proof=False)) == (400, "invalid_dpop_proof")
    assert RefreshToken.objects.filter(revoked__isnull=True).count() == 1
    assert send("/token", form).json()["token_type"] == "DPoP"


# -- no strangers ----------------------------------------------------------------------------------------------


def test_nobody_registers_without_a_word_of_the_operator(db, lazyauth):
    """Spec 8.10. With an initial access token somebody does, with a key."""
    registrar = Registrar()
    body = {"redirect_uris": ["https://client.example/cb"], "client_name": "A bank's client"}
    keyed_body = body | {"token_endpoint_auth_method": "private_key_jwt", "jwks": KEY.key_set}
    assert registrar.register(keyed_body).status_code == 403
    lazyauth(REGISTRATION_POLICY="token")
    row = InitialAccessToken(max_uses=5, expires_at="2100-01-01T00:00Z")
    token = issue_initial_access_token(row)
    for weak in (body, body | {"token_endpoint_auth_method": "none"}):
        answer = registrar.register(weak, token=token)
        assert told(answer) == (400, "invalid_client_metadata")
        assert "private_key_jwt" in answer.json()["error_description"]
    several = ["private_key_jwt", "client_secret_basic", "none"]
    answer = registrar.register(
        keyed_body
        | {
            "token_endpoint_auth_methods_supported": several,
            "token_endpoint_auth_signing_alg": "RS256",
        },
        token=token,
    )
    assert answer.status_code == 201
    assert answer.json()["token_endpoint_auth_method"] == "private_key_jwt"
    assert not {
        "client_secret",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg",
    } & set(answer.json())
    client = OAuthClient(answer.json()["client_id"])
    assert send("/token", client.token_form(code_of(client)), client_id=client.client_id).status_code == 200


def test_no_document_makes_a_client(documents):  # noqa: F811 - the fixture
    """Spec 8.10."""
    client = documents(token_endpoint_auth_method="private_key_jwt", jwks=KEY.key_set)
    assert told(push(client)) == (401, "invalid_client")
    assert not Application.objects.filter(client_id=client.client_id).exists()


# -- the ways around -------------------------------------------------------------------------------------------

urlpatterns = [
    path("o/", include("oauth2_provider.urls")),
    path("", include("django_lazyauth.urls")),
]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code", "refresh_token"])
def test_the_endpoints_of_the_toolkit_are_no_way_around(db, grant):
    """A site may have mounted them."""
    register(
        client_id="secretive",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    form = {
        "grant_type": grant,
        "client_id": "secretive",
        "client_secret": CONFIDENTIAL_SECRET,
        "code": "x",
        "refresh_token": "x",
        "redirect_uri": "https://client.example/cb",
    }
    assert told(post_form(make_browser(), "/o/token/", form)) == (401, "invalid_client")
    revoked = post_form(make_browser(), "/o/revoke_token/", form | {"token": "x"})
    assert told(revoked) == (401, "invalid_client")
    assert not AccessToken.objects.exists()


def test_people_reach_their_account_page(db, lazyauth):
    """It is a part of this site, and asks no endpoint for tokens."""
    lazyauth(REGISTRATION="immediate")
    browser = make_browser()
    begun = get(browser, get(browser, "/account/sessions").headers["Location"])
    choice = get(browser, begun.headers["Location"])
    answer = come_back(browser, submit(browser, choice, provider="demo"), subject="ada")
    returned = get(browser, answer.headers["Location"])
    assert get(browser, returned.headers["Location"]).status_code == 200


# -- the settings ----------------------------------------------------------------------------------------------

DEFAULTS = {
    "require_par": True,
    "registration_policy": "closed",
    "cimd": False,
    "assertion_audience_compat": (),
    "code_lifetime": timedelta(seconds=60),
}
WEAKER = {
    "REQUIRE_PAR": False,
    "DPOP": {"nonce": "always"},
    "REGISTRATION_POLICY": "open",
    "CIMD": None,
    "ASSERTION_AUDIENCE_COMPAT": ["keyed"],
    "CODE_LIFETIME": timedelta(seconds=61),
}
STRONGER = {
    "REQUIRE_PAR": True,
    "DPOP": {"required": True, "nonce": "always"},
    "REGISTRATION_POLICY": "token",
    "CIMD": False,
    "ASSERTION_AUDIENCE_COMPAT": [],
    "CODE_LIFETIME": timedelta(seconds=30),
}


def found() -> list[str]:
    return [message.id for message in run_checks(tags=["lazyauth"]) if message.id.startswith("lazyauth.E")]


def test_the_profile_is_the_default_of_what_it_asks_for():
    assert {name: getattr(lazyauth_settings, name) for name in DEFAULTS} == DEFAULTS
    assert lazyauth_settings.dpop.required is True
    assert found() == []


@pytest.mark.parametrize("name", WEAKER)
def test_a_weaker_value_is_an_error_and_reaches_no_room(lazyauth, name):
    """Spec 8.10."""
    lazyauth(**{name: WEAKER[name]})
    with pytest.raises(Refused, match=rf'{name}.* with "PROFILE": "fapi2"'):
        getattr(lazyauth_settings, name.lower())
    assert found() == ["lazyauth.E032"]
    lazyauth(PROFILE=None)
    assert "lazyauth.E032" not in found()


@pytest.mark.parametrize("name", STRONGER)
def test_a_value_that_is_as_strong_is_none(lazyauth, name):
    lazyauth(**{name: STRONGER[name]})
    assert found() == []


def test_a_key_that_signs_with_rs256_is_an_error(lazyauth, settings):
    """§5.4.1. Its public half may stay while tokens of before live."""
    lazyauth(SIGNING_KEYS=[es256_key(), settings.SIGNING_KEY])
    assert found() == ["lazyauth.E033"]


@pytest.mark.parametrize("profile", ["fapi1", "", True, ["fapi2"]])
def test_another_profile_is_none(lazyauth, profile):
    lazyauth(PROFILE=profile)
    assert found() == ["lazyauth.E003"]


def test_the_metadata_says_what_the_profile_leaves(db):
    """RFC 8414 §2, RFC 9126 §5."""
    document = get(make_browser(), "/.well-known/openid-configuration").json()
    assert document["require_pushed_authorization_requests"] is True
    for endpoint in ("token", "revocation", "introspection"):
        assert document[f"{endpoint}_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    algorithms = [name for name in document if name.endswith(("alg_values_supported",))]
    assert len(algorithms) >= 5
    assert all("RS256" not in document[name] for name in algorithms)
    assert "registration_endpoint" not in document
    assert document["client_id_metadata_document_supported"] is False
    resource = get(make_browser(), "/.well-known/oauth-protected-resource").json()
    assert "ES256" in resource["dpop_signing_alg_values_supported"]
    assert "RS256" not in resource["dpop_signing_alg_values_supported"]
