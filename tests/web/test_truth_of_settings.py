"""Spec 8.10: both metadata documents, derived from what the server does with each setting on and off.

Each function does over HTTP what the members are about, and returns what they therefore have to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.test_documents import documents  # noqa: F401 - a fixture
from tests.conftest import register
from tests.support.dpop import key_of
from tests.support.journey import OAuthClient

from .test_truth import PLACES, wire  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

REDIRECT_URI = "https://client.example/cb"
STRONG = "urn:example:mfa"
ABSENT = None
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


def metadata_documents(wire, request) -> Said:  # noqa: F811
    """draft-ietf-oauth-client-id-metadata-document §6."""
    client = request.getfixturevalue("documents")()
    answer = wire.answer(client.authorize_query(), client.redirect_uri)
    return {"client_id_metadata_document_supported": "code" in answer}


def scopes(wire, request) -> Said:  # noqa: F811
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


def authentication_classes(wire, request) -> Said:  # noqa: F811
    """OpenID Connect Core §3.1.2.1: somebody who signed in too weakly is sent to sign in again, or is not."""
    client = plain_client()
    wire.tokens(client)
    silent = client.authorize_query(prompt="none", acr_values=STRONG)
    answer = wire.answer(silent, client.redirect_uri)
    return {"acr_values_supported": [STRONG] if answer.get("error") == "login_required" else ABSENT}


def signatures(wire, request) -> Said:  # noqa: F811
    """OpenID Connect Discovery §3: what a client may have its ID tokens signed with."""
    made = []
    for algorithm in ("ES256", "RS256", "EdDSA", "PS256", "none"):
        body = {"redirect_uris": [REDIRECT_URI], "id_token_signed_response_alg": algorithm}
        answer = wire.http.post(f"{wire.url}/register", json=body).json()
        if answer.get("id_token_signed_response_alg") == algorithm:
            made.append(algorithm)
    keys = wire.http.get(f"{wire.url}/.well-known/jwks.json").json()["keys"]
    assert {key["alg"] for key in keys} == set(made)
    return {"id_token_signing_alg_values_supported": [key["alg"] for key in keys]}


def proofs(wire, request) -> Said:  # noqa: F811
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
    "SIGNING_KEYS": Case({"SIGNING_KEYS": [es256_key()]}, {}, signatures),
}
#: Settings that change what the server asks for, and nothing that it says.
SILENT = {
    "DPOP": Case({"DPOP": {"required": True}}, {}, proofs),
}


def say(wire, case, settings, request) -> Said:  # noqa: F811
    """Derive the members, compare both documents with them, and return them."""
    request.getfixturevalue("lazyauth")(**settings)
    derived = case.derive(wire, request)
    for place in PLACES:
        document = wire.http.get(wire.url + place).json()
        assert {name: document.get(name) for name in derived} == derived, (place, settings)
        assert ABSENT not in document.values(), place
    return derived


@pytest.mark.parametrize("name", CASES)
def test_the_documents_say_what_the_server_does_with_a_setting_on_and_off(wire, request, name):  # noqa: F811
    case = CASES[name]
    without = say(wire, case, case.off, request)
    request.getfixturevalue("forget")()
    assert say(wire, case, case.on, request) != without


@pytest.mark.parametrize("name", SILENT)
def test_the_documents_say_the_same_of_a_setting_that_refuses_more(wire, request, name):  # noqa: F811
    case = SILENT[name]
    without = say(wire, case, case.off, request)
    request.getfixturevalue("forget")()
    assert say(wire, case, case.on, request) == without


@pytest.fixture
def forget(wire):  # noqa: F811
    """Let the next run begin with nobody and nothing: another browser, no clients, an empty cache."""
    from django.core.cache import cache
    from oauth2_provider.models import Application

    def begin_anew() -> None:
        wire.http.cookies.clear()
        Application.objects.all().delete()
        cache.clear()

    return begin_anew


def test_the_documents_are_json_without_a_null(wire):  # noqa: F811
    """RFC 8414 §3.2: a member without a value is left out."""
    for place in PLACES:
        document = wire.http.get(wire.url + place).json()
        assert all(value not in (None, [], {}) for value in document.values())
