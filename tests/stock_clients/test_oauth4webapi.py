"""oauth4webapi, which checks every answer by the letter and repairs nothing."""

from __future__ import annotations

import time

import pytest

from django_lazyauth.tokens.keys import generate_signing_key

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]

DEFAULT_SCOPE = {"openid", "profile", "email"}


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_every_step_passes_its_checks_and_every_error_is_read(node, issuer, ada, method):
    said = node.run(
        "oauth4webapi.mjs",
        issuer.url,
        issuer.api,
        REDIRECT_URI,
        method,
        answer=lambda asked: ada.answer(asked["ask"]),
    )
    # Discovery: RFC 9728 §3.3 and §5.1, RFC 8414 §3.3.
    assert said["issuer"] == said["found"] == issuer.url
    assert said["sameDocument"]
    assert said["resource"] == [issuer.api, issuer.api]
    assert said["challenge"]["scheme"] == "bearer"
    assert said["challenge"]["parameters"]["error"] == "invalid_token"
    # Registration: RFC 7591 §3.2.
    registered = said["registered"]
    assert (registered["method"], registered["secret"]) == (method, method != "none")
    assert registered.get("expires") == (None if method == "none" else 0)
    assert set(registered["scope"].split()) == DEFAULT_SCOPE
    assert (said["badRegistration"]["status"], said["badRegistration"]["error"]) == (
        400,
        "invalid_redirect_uri",
    )
    # The exchange: RFC 6749 §5.2, OpenID Connect Core §3.1.3.7.
    for wrong in (said["wrongVerifier"], said["wrongRedirect"]):
        assert (wrong["status"], wrong["error"]) == (400, "invalid_grant")
    if method != "none":
        assert said["wrongSecret"]["status"] == 401
        [challenge] = said["wrongSecret"]["challenges"]
        assert challenge["scheme"] == "basic"
    assert said["atHash"]
    assert time.time() - 60 < said["authTime"] <= time.time() + 1
    assert said["amr"] == ["pwd"]
    assert set(said["scope"].split()) == DEFAULT_SCOPE
    # What the tokens do: OpenID Connect Core §5.3, §12.2, RFC 7662 §2.2, RFC 7009 §2.2.
    assert said["userinfo"]["sub"] == said["subject"]
    assert said["userinfo"]["email"] == "ada@people.example"
    assert said["called"] == 200
    # RFC 9068 §4, by the library's own resource server.
    assert said["verified"]["sub"] == said["subject"]
    assert set(said["verified"]["scope"].split()) == DEFAULT_SCOPE
    if method == "none":
        assert said["introspected"]["status"] == 401
    else:
        assert said["introspected"]["active"] is True
        assert said["introspected"]["sub"] == said["subject"]
        assert said["introspected"]["iss"] == issuer.url
        assert said["afterRevocation"] == {"active": False}
    assert set(said["refreshed"]["scope"].split()) == DEFAULT_SCOPE
    assert said["refreshed"]["sameSubject"]
    assert said["refreshed"]["authTime"] == said["authTime"]
    assert said["deadUserinfo"]["status"] == 401
    assert said["deadUserinfo"]["challenges"][0]["parameters"]["error"] == "invalid_token"
    assert (said["deadRefresh"]["status"], said["deadRefresh"]["error"]) == (400, "invalid_grant")
    # Authorization responses: RFC 6749 §3.3 and §4.1.2.1, RFC 9207 §2, OpenID Connect Core §3.1.2.6.
    assert set(said["withoutScope"].split()) == DEFAULT_SCOPE
    assert set(said["silent"].split()) == DEFAULT_SCOPE
    assert said["denials"] == {
        "loginRequired": "login_required",
        "badScope": "invalid_scope",
        "requestObject": "request_not_supported",
        "noPkce": "invalid_request",
        "plainPkce": "invalid_request",
    }


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_it_checks_signed_userinfo_and_signed_introspection(node, issuer, ada, lazyauth, algorithm):
    """OpenID Connect Core §5.3.2, RFC 9701 §5: ``iss``, ``aud``, the signature, and the media type."""
    lazyauth(SIGNING_KEYS=[generate_signing_key(name)[0] for name in ("ES256", "RS256")])
    said = node.run(
        "oauth4webapi_signed.mjs",
        issuer.url,
        REDIRECT_URI,
        algorithm,
        answer=lambda asked: ada.answer(asked["ask"]),
    )
    assert said["registered"] == [algorithm, algorithm]
    assert said["types"] == ["application/jwt", "application/token-introspection+jwt"]
    assert said["userinfo"]["sub"] == said["introspected"]["sub"] == said["sub"]
    assert said["introspected"]["active"] is True
