"""Each row of the matrix: a client of another project, unmodified, in each way that it can ask.

It is what it says: the evidence is in the database, not in what the client was told to be.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from oauth2_provider.models import Application

from django_lazyauth.models import PendingAuthorization, UsedProof
from tests.clients.test_documents import documents  # noqa: F401 - a fixture
from tests.conftest import register
from tests.stock_clients.conftest import REDIRECT_URI, person, site  # noqa: F401 - fixtures
from tests.support.client_keys import ClientKey, give_keys
from tests.web.test_truth_of_settings import es256_key

from . import python_clients
from .cells import ALL, CLIENTS, ROWS, name_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

SECRET = "the secret of an operator's client" + "0123456789" * 2
NODE = {
    "openid-client": "matrix_openid_client.mjs",
    "oauth4webapi": "matrix_oauth4webapi.mjs",
    "@modelcontextprotocol/client": "matrix_mcp.mjs",
}
SOURCES = {"document": "cimd", "registration": "dcr", "pre-made": "manual"}
AUTH_METHODS = {"secret": "client_secret_basic", "key": "private_key_jwt", "public": "none"}
KEY = ClientKey("ES256")


@pytest.fixture(params=ROWS, ids=name_of)
def row(request):
    return request.param


def tell(client, kind, method, site, request) -> dict[str, Any]:  # noqa: F811 - the value of the fixture
    """Return what the client is told of itself and of the site."""
    members = {
        "client_name": client.name,
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": AUTH_METHODS[method],
        **({"jwks": KEY.key_set} if method == "key" else {}),
    }
    pem = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    about = {
        "issuer": site,
        "api": f"{site}/api/whoever",
        "redirectUri": REDIRECT_URI,
        "kind": kind,
        "method": method,
        "members": members,
        "algorithm": "ES256",
        "ways": client.ways(kind, method),
        "clientId": None,
        "secret": None,
        "jwk": KEY.private_jwk | {"alg": "ES256"} if method == "key" else None,
        "pem": pem,
    }
    if kind == "document":
        return about | {"clientId": request.getfixturevalue("documents")(**members).client_id}
    if kind == "registration":
        return about
    secret = SECRET if method == "secret" else ""
    register(
        client_id="made",
        client_type="public" if method == "public" else "confidential",
        redirect_uris=REDIRECT_URI,
        client_secret=secret,
        hash_client_secret=bool(secret),
    )
    if method == "key":
        give_keys("made", KEY, grant_types=["authorization_code", "refresh_token", "client_credentials"])
    return about | {"clientId": "made", "secret": secret or None}


def run(client, told, node, person) -> dict[str, Any]:  # noqa: F811 - the value of the fixture
    """Have the client do each of its ways; return what it did, by way."""
    if client.name in NODE:
        return node.run(NODE[client.name], told, answer=lambda asked: person.answer(asked["ask"]))
    if client.name not in python_clients.REGISTER:
        told = python_clients.registered(told)
    use = python_clients.CLIENTS[client.name]
    return {way: use(told, way, person.answer) for way in told["ways"]}


def test_a_client_does_all_that_it_can(row, site, node, person, request):  # noqa: F811 - the fixtures
    """RFC 6749 §4.1 and §6, with RFC 7591, RFC 7523, RFC 9126, RFC 9449, and client ID metadata documents."""
    client, kind, method = row
    did = run(client, tell(client, kind, method, site, request), node, person)
    assert list(did) == client.ways(kind, method)
    for way, one in did.items():
        expected = "dpop" if "DPoP" in way else "bearer"
        assert [name.lower() for name in one["types"]] == [expected] * 2, way
        assert one["called"] == 200 or _is_of_nobody(client, method), way
    assert {one.registration_source for one in Application.objects.all()} == {SOURCES[kind]}
    used = UsedProof.objects.filter(kind="client_assertion").count()
    assert (used > 0) == (method == "key"), "the key was used"
    sessions = PendingAuthorization.objects.filter(status="exchanged")
    assert sessions.count() == (0 if _is_of_nobody(client, method) else len(did))
    assert {bool(one.client_auth) for one in sessions} <= {method == "key"}
    assert sessions.filter(pushed_digest__isnull=False).count() == sum("PAR" in way for way in did)
    assert sessions.exclude(jkt="").count() == sum("DPoP" in way for way in did)


def _is_of_nobody(client, method) -> bool:
    """Whether the client acts for itself, so that there is no person whom an API could name."""
    return client.name == "mcp" and method == "key"


@pytest.mark.parametrize(
    "client", [one for one in CLIENTS if ALL in one.ways("pre-made", "key")], ids=lambda one: one.name
)
def test_a_client_that_can_do_it_passes_at_a_site_of_fapi(
    client,
    site,  # noqa: F811 - the fixtures
    node,
    person,  # noqa: F811 - the fixture
    request,
    lazyauth,
):
    """FAPI 2.0 Security Profile §5.3.3: what such a client does is all that such a server asks for."""
    lazyauth(PROFILE="fapi2", SIGNING_KEYS=[es256_key()])
    told = tell(client, "pre-made", "key", site, request) | {"ways": [ALL]}
    did = run(client, told, node, person)[ALL]
    assert [name.lower() for name in did["types"]] == ["dpop", "dpop"]
    assert did["called"] == 200
