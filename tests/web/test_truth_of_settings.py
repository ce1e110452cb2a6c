"""Spec 8.10: both metadata documents, derived from what the server does with each setting on and off.

Each function does over HTTP what the members are about, and returns what they therefore have to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from tests.clients.test_documents import documents  # noqa: F401 - a fixture
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.delegation import ACCESS_TOKEN, POLICY, confidential
from tests.support.delegation import GRANT as EXCHANGE
from tests.support.devices import DEVICE_CODE
from tests.support.dpop import key_of
from tests.support.id_jags import GRANT as ASSERTED
from tests.support.id_jags import POLICY as WORD
from tests.support.journey import OAuthClient
from tests.support.pushes import signed
from tests.tokens.conftest import decoded

from .test_truth import PLACES, wire  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

REDIRECT_URI = "https://client.example/cb"
STRONG = "urn:example:mfa"
ABSENT = None
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
THERE = "https://there.example"
WORDS = {"clients": {"site": "x"}, "scopes": ["notes:read"], "resources": [f"{THERE}/mcp"]}
Said = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A setting, and what shows whether it is on."""

    on: dict[str, Any]
    off: dict[str, Any]
    derive: Callable[..., Said]


def registration(wire, request) -> Said:  # noqa: F811 - the value of the fixture
    """RFC 7591 §3."""
    answer = wire.http.post(f"{wire.url}/register", json={"redirect_uris": [REDIRECT_URI]})
    return {"registration_endpoint": f"{wire.url}/register" if answer.status_code == 201 else ABSENT}


def metadata_documents(wire, request) -> Said:  # noqa: F811 - the fixture
    """draft-ietf-oauth-client-id-metadata-document §6."""
    client = request.getfixturevalue("documents")()
    answer = wire.answer(client.authorize_query(), client.redirect_uri)
    return {"client_id_metadata_document_supported": "code" in answer}


def scopes(wire, request) -> Said:  # noqa: F811 - the fixture
    """RFC 8414 §2: of those that somebody might ask for, the ones that are granted."""
    asked = ["openid", "profile", "email", "notes:read", "offline_access", "read", "admin"]
    client = plain_client()
    granted = [
        scope
        for scope in asked
        if "code" in wire.answer(client.authorize_query(scope=scope), client.redirect_uri)
    ]
    # It is asked for by name, because a site may have lived with that default of django-oauth-toolkit.
    return {"scopes_supported": sorted(set(granted) - {"read", "write"})}


def authentication_classes(wire, request) -> Said:  # noqa: F811 - the fixture
    """OpenID Connect Core §3.1.2.1: somebody who signed in too weakly is sent to sign in again, or is not."""
    client = plain_client()
    wire.tokens(client)
    silent = client.authorize_query(prompt="none", acr_values=STRONG)
    answer = wire.answer(silent, client.redirect_uri)
    return {"acr_values_supported": [STRONG] if answer.get("error") == "login_required" else ABSENT}


def signatures(wire, request) -> Said:  # noqa: F811 - the fixture
    """OpenID Connect Discovery §3: what a client may have its ID tokens signed with."""
    made = []
    for algorithm in ("ES256", "RS256", "EdDSA", "PS256", "none"):
        body = {"redirect_uris": [REDIRECT_URI], "id_token_signed_response_alg": algorithm}
        answer = wire.http.post(f"{wire.url}/register", json=body).json()
        if answer.get("id_token_signed_response_alg") == algorithm:
            made.append(algorithm)
    keys = wire.http.get(f"{wire.url}/.well-known/jwks.json").json()["keys"]
    assert {key["alg"] for key in keys} == set(made)
    signed = [key["alg"] for key in keys]
    return {
        f"{kind}_signing_alg_values_supported": signed for kind in ("id_token", "userinfo", "introspection")
    }


def proofs(wire, request) -> Said:  # noqa: F811 - the fixture
    """RFC 9449 §5.1: a proof binds, whether the site wants one of everybody or not."""
    client = plain_client()
    taken = []
    for algorithm in ("ES256", "PS256", "RS256", "EdDSA", "Ed25519"):
        code = wire.answer(client.authorize_query(), client.redirect_uri)["code"]
        proof = key_of(algorithm).proof(wire.document["token_endpoint"])
        answer = wire.post("token_endpoint", client.token_form(code), headers={"DPoP": proof})
        if answer.json().get("token_type") == "DPoP":
            taken.append(algorithm)
    return {"dpop_signing_alg_values_supported": taken}


def pushes(wire, request) -> Said:  # noqa: F811 - the fixture
    """RFC 9126 §5: whether a request is taken that was not pushed, and whether one is that was."""
    client = plain_client()
    plain = wire.answer(client.authorize_query(), client.redirect_uri)
    form = {"client_id": client.client_id, **dict(parse_qsl(client.authorize_query()))}
    urn = wire.http.post(f"{wire.url}/par", data=form).json()["request_uri"]
    query = urlencode({"client_id": client.client_id, "request_uri": urn})
    assert "code" in wire.answer(query, client.redirect_uri)
    return {
        "pushed_authorization_request_endpoint": f"{wire.url}/par",
        "require_pushed_authorization_requests": ABSENT if "code" in plain else True,
    }


def signed_requests(wire, request) -> Said:  # noqa: F811 - the fixture
    """RFC 9101 §10.5: whether one is taken, and with which algorithms."""
    taken = []
    for algorithm in ("ES256", "PS256", "RS256", "EdDSA", "Ed25519"):
        key = ClientKey(algorithm)
        client = OAuthClient(f"signs-{algorithm}", redirect_uri=REDIRECT_URI)
        register(client_id=client.client_id, client_type="confidential", redirect_uris=REDIRECT_URI)
        give_keys(client.client_id, key)
        query = urlencode(
            {"client_id": client.client_id, "request": signed(client, key, aud=wire.document["issuer"])}
        )
        # Without the parameter in the URL there is nowhere to answer an error to.
        answer = wire.answer(query + f"&redirect_uri={quote(REDIRECT_URI)}", client.redirect_uri)
        if "code" in answer:
            taken.append(algorithm)
    return {
        "request_parameter_supported": bool(taken),
        "request_object_signing_alg_values_supported": taken or ABSENT,
    }


def keys_only(wire, request) -> Said:  # noqa: F811 - the fixture
    """FAPI 2.0 Security Profile §5.3.2.1: which algorithms a client may prove itself with."""
    taken = []
    for algorithm in ("ES256", "PS256", "RS256", "EdDSA", "Ed25519"):
        key = ClientKey(algorithm)
        register(client_id=f"keyed-{algorithm}", client_type="confidential")
        give_keys(f"keyed-{algorithm}", key)
        form = {"token": "x", **key.form(f"keyed-{algorithm}", aud=wire.document["issuer"])}
        if wire.post("introspection_endpoint", form).status_code == 200:
            taken.append(algorithm)
    secret = ("with-secret", CONFIDENTIAL_SECRET)
    register(
        client_id=secret[0],
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    by_secret = wire.post("introspection_endpoint", {"token": "x"}, auth=secret).status_code == 200
    methods = ["client_secret_basic", "client_secret_post"] if by_secret else []
    return {
        "introspection_endpoint_auth_methods_supported": ["private_key_jwt", *methods],
        "introspection_endpoint_auth_signing_alg_values_supported": taken,
    }


def devices(wire, request) -> Said:  # noqa: F811 - the fixture
    """RFC 8628 §4: whether a device gets codes, and is told that nobody answered yet."""
    client_id = "television"
    register(client_id=client_id, authorization_grant_type=DEVICE_CODE, redirect_uris="")
    endpoint = f"{wire.url}/device_authorization"
    asked = wire.http.post(endpoint, data={"client_id": client_id, "scope": "openid"})
    code = asked.json().get("device_code", "x")
    form = {"grant_type": DEVICE_CODE, "client_id": client_id, "device_code": code}
    is_served = wire.post("token_endpoint", form).json()["error"] == "authorization_pending"
    others = ["authorization_code", "refresh_token", "client_credentials"]
    return {
        "device_authorization_endpoint": endpoint if asked.status_code == 200 else ABSENT,
        "grant_types_supported": [*others, *([DEVICE_CODE] if is_served else [])],
    }


def exchanges(wire, request) -> Said:  # noqa: F811 - the fixture
    """RFC 8693 §2: whether a client that the operator named is told what is wrong with its token."""
    confidential("tool")
    form = {"grant_type": EXCHANGE, "client_id": "tool", "client_secret": CONFIDENTIAL_SECRET}
    form |= {"subject_token": "x", "subject_token_type": ACCESS_TOKEN}
    is_served = wire.post("token_endpoint", form).json()["error"] == "invalid_request"
    others = ["authorization_code", "refresh_token", "client_credentials"]
    return {"grant_types_supported": [*others, *([EXCHANGE] if is_served else [])]}


def subjects(wire, request) -> Said:  # noqa: F811 - the fixture
    """OpenID Connect Core §8: whether clients of two hosts call a person the same."""
    found = set()
    for host in ("one", "two"):
        uri = f"https://{host}.example/cb"
        register(client_id=host, redirect_uris=uri)
        tokens = wire.tokens(OAuthClient(host, redirect_uri=uri))
        found.add(decoded(tokens["id_token"])[1]["sub"])
    return {"subject_types_supported": ["public" if len(found) == 1 else "pairwise"]}


def words(wire, request) -> Said:  # noqa: F811 - the fixture
    """draft-ietf-oauth-identity-assertion-authz-grant §4.3: whether a client gets one, or hears what is wrong."""
    confidential("site")
    form = {"grant_type": EXCHANGE, "client_id": "site", "client_secret": CONFIDENTIAL_SECRET}
    form |= {"requested_token_type": ID_JAG, "audience": THERE, "subject_token": "x"}
    form |= {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}
    is_served = wire.post("token_endpoint", form).json()["error"] == "invalid_request"
    return {"identity_chaining_requested_token_types_supported": [ID_JAG] if is_served else ABSENT}


def assertions(wire, request) -> Said:  # noqa: F811 - the fixture
    """draft-ietf-oauth-identity-assertion-authz-grant §7.2: whether an assertion is looked at."""
    confidential("agent")
    form = {"grant_type": ASSERTED, "client_id": "agent", "client_secret": CONFIDENTIAL_SECRET}
    answer = wire.post("token_endpoint", form | {"assertion": "a.b.c"})
    is_served = answer.json()["error"] == "invalid_grant"
    others = ["authorization_code", "refresh_token", "client_credentials"]
    return {
        "grant_types_supported": [*others, *([ASSERTED] if is_served else [])],
        "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"]
        if is_served
        else ABSENT,
    }


def plain_client() -> OAuthClient:
    register(client_id="plain", redirect_uris=REDIRECT_URI)
    return OAuthClient("plain", redirect_uri=REDIRECT_URI)


def es256_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


CASES = {
    "REGISTRATION_POLICY": Case(
        {"REGISTRATION_POLICY": "open"}, {"REGISTRATION_POLICY": "closed"}, registration
    ),
    "CIMD": Case({"CIMD": True}, {"CIMD": False}, metadata_documents),
    "SCOPES": Case({"SCOPES": {"notes:read": "Read your notes"}}, {"SCOPES": {}}, scopes),
    "ACR_VALUES": Case({"ACR_VALUES": [STRONG]}, {}, authentication_classes),
    "REQUIRE_PAR": Case({"REQUIRE_PAR": True}, {}, pushes),
    "REQUEST_OBJECTS": Case({"REQUEST_OBJECTS": True}, {}, signed_requests),
    "DEVICE_FLOW": Case({"DEVICE_FLOW": True}, {}, devices),
    "TOKEN_EXCHANGE": Case({"TOKEN_EXCHANGE": {"tool": POLICY}}, {}, exchanges),
    "SUBJECT_TYPE": Case({"SUBJECT_TYPE": "pairwise"}, {"SUBJECT_TYPE": "opaque"}, subjects),
    "SSO_ID_JAG": Case(
        {"SSO_ID_JAG": WORD, "SSO_DOMAINS": {"corp.example": {"issuer": "https://corp.example"}}},
        {},
        assertions,
    ),
    "ID_JAG_AUDIENCES": Case({"ID_JAG_AUDIENCES": {THERE: WORDS}}, {}, words),
    "PROFILE": Case({"PROFILE": "fapi2"}, {}, keys_only),
    "SIGNING_KEYS": Case({"SIGNING_KEYS": [es256_key()]}, {}, signatures),
}
#: Settings that change what the server asks for, and nothing that it says.
SILENT = {
    "DPOP": Case({"DPOP": {"required": True}}, {}, proofs),
    "REFRESH_TOKENS": Case({"REFRESH_TOKENS": "offline_access"}, {}, scopes),
}


def say(wire, case, settings, request) -> Said:  # noqa: F811 - the fixture
    """Derive the members, compare both documents with them, and return them."""
    request.getfixturevalue("lazyauth")(**settings)
    derived = case.derive(wire, request)
    for place in PLACES:
        document = wire.http.get(wire.url + place).json()
        assert {name: document.get(name) for name in derived} == derived, (place, settings)
        assert ABSENT not in document.values(), place
    return derived


@pytest.mark.parametrize("name", CASES)
def test_the_documents_say_what_the_server_does_with_a_setting_on_and_off(wire, request, name):  # noqa: F811 - the fixture
    case = CASES[name]
    without = say(wire, case, case.off, request)
    request.getfixturevalue("forget")()
    assert say(wire, case, case.on, request) != without


@pytest.mark.parametrize("name", SILENT)
def test_the_documents_say_the_same_of_a_setting_that_refuses_more(wire, request, name):  # noqa: F811 - the fixture
    case = SILENT[name]
    without = say(wire, case, case.off, request)
    request.getfixturevalue("forget")()
    assert say(wire, case, case.on, request) == without


@pytest.fixture
def forget(wire):  # noqa: F811 - the fixture
    """Let the next run begin with nobody and nothing: another browser, no clients, an empty cache."""
    from django.core.cache import cache
    from oauth2_provider.models import Application

    def begin_anew() -> None:
        wire.http.cookies.clear()
        Application.objects.all().delete()
        cache.clear()

    return begin_anew


def test_the_documents_are_json_without_a_null(wire):  # noqa: F811 - the fixture
    """RFC 8414 §3.2: a member without a value is left out."""
    for place in PLACES:
        document = wire.http.get(wire.url + place).json()
        assert all(value not in (None, [], {}) for value in document.values())
