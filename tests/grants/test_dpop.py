"""Tokens that are bound to a key (RFC 9449): which the token endpoint gives, and what is nothing without the key."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.errors import InvalidDpopProof
from django_lazyauth.models import (
    ClientRegistration,
    FamilyGrant,
    PendingAuthorization,
    TokenFacts,
    UsedProof,
)
from django_lazyauth.models.fields import bound_digest, digest
from django_lazyauth.sessions import end
from django_lazyauth.tokens import keys
from django_lazyauth.tokens.bearer import find_bearer, find_bearer_beside_client, find_bound
from django_lazyauth.tokens.binding import agreed_key, proof_of
from django_lazyauth.upkeep.sweep import sweep
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.dpop import ProofKey
from tests.support.examples import examples as count
from tests.support.journey import ISSUER, OAuthClient, get, make_browser, post_form, redeem, sign_in
from tests.support.recorded import code_for
from tests.tokens.conftest import decoded

pytestmark = pytest.mark.django_db

TOKEN = f"{ISSUER}/token"
KEY, OTHER = ProofKey(), ProofKey()
FORMATS = pytest.mark.parametrize("form", ["jwt", "opaque"])


class Session:
    """A client with a key, and what it was answered last."""

    def __init__(self, client: OAuthClient, key: ProofKey | None = KEY) -> None:
        self.client, self.key = client, key
        self.answer: Any = None

    def ask(self, form: dict[str, Any], **proof) -> Any:
        headers = {"dpop": proof.pop("text")} if "text" in proof else {}
        key = proof.pop("key", self.key)
        if key is not None and not headers:
            headers = {"dpop": key.proof(TOKEN, **proof)}
        self.answer = post_form(make_browser(), "/token", form, headers=headers)
        return self.answer

    def redeem(self, code: str, **proof) -> Any:
        return self.ask(self.client.token_form(code), **proof)

    def begin(self, **proof) -> dict[str, Any]:
        answer = self.redeem(code_for(self.client), **proof)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def refresh(self, token: str, form: dict[str, Any] | None = None, **proof) -> Any:
        given = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.client.client_id}
        secret = {"client_secret": self.client.client_secret} if self.client.client_secret else {}
        return self.ask(given | secret | (form or {}), **proof)


@pytest.fixture
def session(client_):
    return Session(client_)


@pytest.fixture
def server(confidential):
    """A confidential client."""
    return Session(confidential)


def assert_refused(answer, error, status=400):
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.content


def described(token: str) -> dict[str, Any]:
    register(
        client_id="api",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    form = {"token": token, "client_id": "api", "client_secret": CONFIDENTIAL_SECRET}
    return post_form(make_browser(), "/introspect", form).json()


# -- what a proof is answered ----------------------------------------------------------------------------------


@FORMATS
def test_a_proof_binds_the_access_token_to_its_key(session, lazyauth, form):
    """RFC 9449 §5, §6: ``token_type``, ``cnf`` in the token, and in what introspection says of it."""
    lazyauth(ACCESS_TOKEN_FORMAT=form, INTROSPECTION_CLIENTS={"api": [ISSUER]})
    answer = session.begin()
    token = answer["access_token"]
    assert answer["token_type"] == "DPoP"
    if form == "jwt":
        assert decoded(token)[1]["cnf"] == {"jkt": KEY.thumbprint}
    facts = TokenFacts.objects.get()
    assert (facts.jkt, facts.session_id) == (KEY.thumbprint, PendingAuthorization.objects.get().pk)
    found = described(token)
    assert (found["token_type"], found["cnf"]) == ("DPoP", {"jkt": KEY.thumbprint})


def test_without_a_proof_a_token_is_a_bearer(session, lazyauth):
    """RFC 9449 §5: DPoP is the client's choice here."""
    lazyauth(INTROSPECTION_CLIENTS={"api": [ISSUER]})
    answer = session.redeem(code_for(session.client), key=None)
    assert answer.json()["token_type"] == "Bearer"
    token = answer.json()["access_token"]
    assert "cnf" not in decoded(token)[1]
    found = described(token)
    assert found["token_type"] == "Bearer"
    assert "cnf" not in found
    assert not TokenFacts.objects.exists()
    assert not UsedProof.objects.exists()


def test_a_client_that_acts_for_itself_gets_a_bound_token(db):
    """RFC 9449 §5, RFC 6749 §4.4."""
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    machine = Session(OAuthClient("machine", CONFIDENTIAL_SECRET))
    form = {
        "grant_type": "client_credentials",
        "scope": "profile",
        "client_id": "machine",
        "client_secret": CONFIDENTIAL_SECRET,
    }
    answer = machine.ask(form)
    assert answer.json()["token_type"] == "DPoP"
    assert decoded(answer.json()["access_token"])[1]["cnf"] == {"jkt": KEY.thumbprint}
    facts = TokenFacts.objects.get()
    assert (facts.jkt, facts.session_id) == (KEY.thumbprint, None)
    # RFC 7009: it is given back without a proof.
    revocation = {
        "token": answer.json()["access_token"],
        "client_id": "machine",
        "client_secret": CONFIDENTIAL_SECRET,
    }
    assert post_form(make_browser(), "/revoke_token", revocation).status_code == 200
    assert not AccessToken.objects.exists()
    assert not TokenFacts.objects.exists()


# -- what is refused, and uses nothing up (I24) ----------------------------------------------------------------


BAD = {
    "another method": {"htm": "GET"},
    "another URL": {"htu": f"{ISSUER}/revoke_token"},
    "another server": {"htu": "https://evil.example/token"},
    "another kind of token": {"header": {"typ": "client-authentication+jwt"}},
    "a private key": {"header": {"jwk": KEY.public | {"d": "AA"}}},
    "a secret": {"header": {"jwk": {"kty": "oct", "k": "AAAA"}, "alg": "HS256"}},
    "another's key": {"header": {"jwk": OTHER.public}},
    "no jti": {"jti": None},
    "nothing": {"text": ""},
    "a word": {"text": "proof"},
}


@pytest.mark.parametrize("proof", BAD.values(), ids=BAD)
def test_a_bad_proof_is_refused_and_the_code_still_redeems(session, proof):
    """RFC 9449 §5: ``invalid_dpop_proof``, and neither code nor ``jti`` is used up."""
    code = code_for(session.client)
    assert_refused(session.redeem(code, **proof), "invalid_dpop_proof")
    assert not UsedProof.objects.exists()
    assert session.redeem(code).status_code == 200


def test_the_url_is_built_on_the_issuer_and_never_on_host(session):
    """A server that is asked under another name takes no proof for that name."""
    code = code_for(session.client)
    browser = make_browser()
    form = session.client.token_form(code)
    for name in ("other.example", "auth.example:8443"):
        proof = KEY.proof(f"https://{name}/token")
        answer = post_form(browser, "/token", form, headers={"dpop": proof, "host": name})
        assert answer.status_code == 400, answer.content
    answer = post_form(browser, "/token", form, headers={"dpop": KEY.proof(TOKEN), "host": "other.example"})
    # ALLOWED_HOSTS may refuse it. The proof is good.
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert session.redeem(code).status_code == 200


def test_a_proof_is_good_once(session):
    """RFC 9449 §11.1: the same key and ``jti`` a second time."""
    proof = KEY.proof(TOKEN)
    first, second = code_for(session.client), code_for(session.client, subject="bob")
    assert session.redeem(first, text=proof).status_code == 200
    assert_refused(session.redeem(second, text=proof), "invalid_dpop_proof")
    assert session.redeem(second).status_code == 200, "the code was not used up"
    # Another key may have the same jti: it is unique for its key.
    third = code_for(session.client, subject="eve")
    assert session.redeem(third, key=OTHER, jti=json.loads(_payload(proof))["jti"]).status_code == 200


def _payload(token: str) -> bytes:
    import base64

    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_refused_grant_uses_no_proof_up(session):
    """Spec 8.0: nobody without a good grant writes a row."""
    proof = KEY.proof(TOKEN)
    assert_refused(session.redeem("no such code", text=proof), "invalid_grant")
    assert not UsedProof.objects.exists()
    assert session.redeem(code_for(session.client), text=proof).status_code == 200


def test_a_used_proof_is_remembered_for_as_long_as_it_could_be_good(session):
    """300 s ahead and 300 s behind, and a minute for clocks."""
    session.begin(iat=time.time() + 290)
    kept = UsedProof.objects.get().expires_at - timezone.now()
    assert timedelta(minutes=10) < kept <= timedelta(minutes=11)
    list(sweep())
    assert UsedProof.objects.count() == 1
    list(sweep(now=timezone.now() + timedelta(minutes=12)))
    assert not UsedProof.objects.exists()
    assert not TokenFacts.objects.exists()


# -- nonces ----------------------------------------------------------------------------------------------------


def test_a_clock_that_is_an_hour_off_works(session):
    """RFC 9449 §8: the nonce says when a proof was made. The code, and the ``jti``, wait for it."""
    code, wrong = code_for(session.client), time.time() - 3600
    asked = session.redeem(code, iat=wrong)
    assert_refused(asked, "use_dpop_nonce")
    nonce = asked.headers["DPoP-Nonce"]
    answer = session.redeem(code, iat=wrong, nonce=nonce)
    assert answer.status_code == 200, answer.content
    # Its clock will not be better next time.
    assert answer.headers["DPoP-Nonce"]
    tokens = answer.json()
    assert_refused(session.refresh(tokens["refresh_token"], iat=wrong), "use_dpop_nonce")
    assert session.refresh(tokens["refresh_token"], iat=wrong, nonce=nonce).status_code == 200


def test_every_proof_needs_a_nonce_where_the_site_says_so(session, lazyauth):
    """RFC 9449 §8, §8.2: each answer carries the next one, errors too."""
    lazyauth(DPOP={"nonce": "always"})
    code = code_for(session.client)
    asked = session.redeem(code)
    assert_refused(asked, "use_dpop_nonce")
    nonce = asked.headers["DPoP-Nonce"]
    assert_refused(session.redeem("no such code", nonce=nonce), "invalid_grant")
    assert session.answer.headers["DPoP-Nonce"]
    assert session.redeem(code, nonce=nonce).headers["DPoP-Nonce"]
    assert session.answer.status_code == 200
    # Who sends no proof is told no nonce.
    assert "DPoP-Nonce" not in session.redeem(code_for(session.client, subject="bob"), key=None).headers


def test_a_nonce_that_is_missing_uses_up_no_client_assertion(lazyauth):
    """Spec 8.4: neither code, refresh token nor ``jti``. The same assertion serves the second try."""
    lazyauth(DPOP={"nonce": "always"})
    register(client_id="keyed-client", client_type="confidential")
    key = ClientKey("ES256")
    give_keys("keyed-client", key)
    session = Session(OAuthClient("keyed-client"))
    form = session.client.token_form(code_for(session.client)) | key.form("keyed-client")
    assert_refused(session.ask(form), "use_dpop_nonce")
    answer = session.ask(form, nonce=session.answer.headers["DPoP-Nonce"])
    assert answer.status_code == 200, answer.content


def test_scripts_of_the_client_can_read_the_nonce(client_):
    """Fetch, CORS: the request may carry ``DPoP``, and the answer shows ``DPoP-Nonce``."""
    browser, origin = make_browser(), "https://client.example"
    allowed = browser.options("/token", secure=True, headers={"origin": origin})
    assert "DPoP" in allowed.headers["Access-Control-Allow-Headers"].split(", ")
    answer = post_form(
        browser,
        "/token",
        client_.token_form("x"),
        headers={"origin": origin, "dpop": KEY.proof(TOKEN, iat=1)},
    )
    assert_refused(answer, "use_dpop_nonce")
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"DPoP-Nonce", "WWW-Authenticate", "Retry-After"} <= set(exposed)


# -- codes that are bound before they are issued ---------------------------------------------------------------


def test_dpop_jkt_binds_the_code(session):
    """RFC 9449 §10: no or another key, and the code is worth nothing; with the key it is still good."""
    code = code_for(session.client, dpop_jkt=KEY.thumbprint)
    assert_refused(session.redeem(code, key=None), "invalid_grant")
    assert_refused(session.redeem(code, key=OTHER), "invalid_grant")
    assert not UsedProof.objects.exists()
    assert session.redeem(code).json()["token_type"] == "DPoP"


@pytest.mark.parametrize("thumbprint", ["x", "x" * 42, "x" * 44, "+" * 43, "é" * 43])
def test_what_is_no_thumbprint_is_refused_at_the_redirect_uri(client_, thumbprint):
    """RFC 6749 §4.1.2.1, I18."""
    answer = get(make_browser(), f"/authorize?{client_.authorize_query(dpop_jkt=thumbprint)}")
    assert answer.status_code == 303
    assert "error=invalid_request" in answer.headers["Location"]


def test_an_empty_thumbprint_binds_nothing(client_):
    """RFC 6749 §3.1: a parameter without a value is omitted."""
    assert redeem(client_, code_for(client_, dpop_jkt="")).json()["token_type"] == "Bearer"


def test_a_pushed_request_binds_its_code_by_proof_or_thumbprint():
    """RFC 9449 §10.1: where both are sent they agree."""
    request = RequestFactory().post("/token", headers={"dpop": KEY.proof(TOKEN)})
    proof = proof_of(request)
    assert agreed_key(proof, "") == agreed_key(proof, KEY.thumbprint) == KEY.thumbprint
    assert agreed_key(None, OTHER.thumbprint) == OTHER.thumbprint
    assert agreed_key(None, "") == ""
    with pytest.raises(InvalidDpopProof):
        agreed_key(proof, OTHER.thumbprint)
    assert proof_of(RequestFactory().post("/token")) is None


# -- refresh tokens --------------------------------------------------------------------------------------------


def test_a_public_client_refreshes_with_its_first_key_only(session):
    """RFC 9449 §5. I24: whoever stole the token can neither use nor spend it, nor end the session."""
    token = session.begin()["refresh_token"]
    for thief in ({"key": OTHER}, {"key": None}):
        assert_refused(session.refresh(token, **thief), "invalid_grant")
    answer = session.refresh(token)
    assert answer.status_code == 200, answer.content
    assert answer.json()["token_type"] == "DPoP"
    # The old one, long after the grace: still no way to end the session without the key.
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(hours=1))
    for thief in ({"key": OTHER}, {"key": None}):
        assert_refused(session.refresh(token, **thief), "invalid_grant")
    assert session.refresh(answer.json()["refresh_token"]).status_code == 200


def test_a_copied_request_ends_no_session(session):
    """I24: who recorded a refresh, proof and all, replays it: in the grace, and after it."""
    token, proof = session.begin()["refresh_token"], KEY.proof(TOKEN)
    successor = session.refresh(token, text=proof).json()["refresh_token"]
    assert_refused(session.refresh(token, text=proof), "invalid_dpop_proof")
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(minutes=2))
    assert_refused(session.refresh(token, text=proof), "invalid_dpop_proof")
    assert session.refresh(successor).status_code == 200


def test_a_spent_token_with_a_new_proof_of_its_key_ends_the_session(session):
    """RFC 9700 §4.14: the owner of the key uses a token twice, so a copy of it exists."""
    token = session.begin()["refresh_token"]
    successor = session.refresh(token).json()["refresh_token"]
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(minutes=2))
    assert_refused(session.refresh(token), "invalid_grant")
    assert_refused(session.refresh(successor), "invalid_grant")
    assert not AccessToken.objects.exists()
    assert not TokenFacts.objects.exists()


def test_a_retry_in_the_grace_needs_the_same_key_and_a_new_proof(session):
    """I10: the same answer again."""
    token = session.begin()["refresh_token"]
    first = session.refresh(token)
    again = session.refresh(token)
    assert again.content == first.content
    assert_refused(session.refresh(token, key=OTHER), "invalid_grant")
    assert session.refresh(first.json()["refresh_token"]).status_code == 200


def test_a_client_that_proves_itself_may_change_its_key(server):
    """RFC 9449 §5: its refresh tokens are bound to the client already."""
    token = server.begin()["refresh_token"]
    answer = server.refresh(token, key=OTHER)
    assert decoded(answer.json()["access_token"])[1]["cnf"] == {"jkt": OTHER.thumbprint}
    # A retry is for the key that was answered.
    assert_refused(server.refresh(token, key=KEY), "invalid_grant")
    assert server.refresh(token, key=OTHER).content == answer.content
    # A session that began bound gives no bearer by omission.
    assert_refused(server.refresh(answer.json()["refresh_token"], key=None), "invalid_dpop_proof")
    assert server.refresh(answer.json()["refresh_token"]).status_code == 200


def test_a_session_that_began_with_an_assertion_may_change_its_key():
    """Its client proves itself at each refresh, though it may come without credentials elsewhere."""
    register(client_id="both-client", client_type="public", registration_source="dcr")
    key, methods = ClientKey("ES256"), ["private_key_jwt", "none"]
    give_keys(
        "both-client",
        key,
        token_endpoint_auth_method=methods[0],
        token_endpoint_auth_methods_supported=methods,
    )
    session = Session(OAuthClient("both-client"))
    code = code_for(session.client)
    token = session.ask(session.client.token_form(code) | key.form("both-client")).json()["refresh_token"]
    answer = session.refresh(token, key.form("both-client"), key=OTHER)
    assert answer.status_code == 200, answer.content


def test_a_bearer_session_of_a_public_client_takes_its_first_key(session):
    """RFC 9449 §5: a refresh token that is issued for a proof is bound to it."""
    token = session.begin(key=None)["refresh_token"]
    bound = session.refresh(token).json()
    assert bound["token_type"] == "DPoP"
    assert_refused(session.refresh(bound["refresh_token"], key=None), "invalid_grant")
    assert_refused(session.refresh(bound["refresh_token"], key=OTHER), "invalid_grant")
    assert session.refresh(bound["refresh_token"]).status_code == 200


def test_a_bearer_session_of_a_confidential_client_stays_free(server):
    """It did not begin bound."""
    token = server.begin(key=None)["refresh_token"]
    bound = server.refresh(token).json()
    assert bound["token_type"] == "DPoP"
    assert server.refresh(bound["refresh_token"], key=None).json()["token_type"] == "Bearer"


def test_a_session_that_dot_began_takes_its_first_key(session, client_):
    """Its row is written at its first use here; one that has a row already is bound in it."""
    token = session.begin(key=None)["refresh_token"]
    PendingAuthorization.objects.all().delete()
    bound = session.refresh(token).json()
    assert FamilyGrant.objects.get().jkt == KEY.thumbprint
    assert_refused(session.refresh(bound["refresh_token"], key=OTHER), "invalid_grant")
    FamilyGrant.objects.update(jkt="")
    assert session.refresh(bound["refresh_token"], key=OTHER).status_code == 200
    assert FamilyGrant.objects.get().jkt == OTHER.thumbprint


@pytest.mark.parametrize("owner", [None, KEY], ids=["no key", "a key"])
@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=1)], ids=["at once", "after the grace"])
@pytest.mark.parametrize("is_of_dot", [False, True], ids=["ours", "of DOT"])
def test_a_thief_who_binds_a_bearer_session_loses_it_when_its_owner_comes(session, owner, age, is_of_dot):
    """RFC 9700 §4.14: the token was a bearer, and is used twice. A key must not hide that from us."""
    token = session.begin(key=None)["refresh_token"]
    if is_of_dot:
        PendingAuthorization.objects.all().delete()
    stolen = session.refresh(token, key=OTHER).json()
    assert find_bound(stolen["access_token"]) is not None
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - age)
    assert_refused(session.refresh(token, key=owner), "invalid_grant")
    assert find_bound(stolen["access_token"]) is None
    assert_refused(session.refresh(stolen["refresh_token"], key=OTHER), "invalid_grant")


def test_what_is_bound_later_is_bound_from_then_on(session):
    """RFC 9449 §5: who steals the second token can neither use it nor end the session, once it is spent too."""
    first = session.begin(key=None)["refresh_token"]
    second = session.refresh(first).json()["refresh_token"]
    third = session.refresh(second).json()["refresh_token"]
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(hours=1))
    for thief in ({"key": OTHER}, {"key": None}):
        assert_refused(session.refresh(second, **thief), "invalid_grant")
    assert session.refresh(third).status_code == 200


@pytest.mark.parametrize("is_of_dot", [False, True], ids=["ours", "of DOT"])
def test_i24_the_unused_token_of_a_bound_session_is_bound_whatever_clock_wrote_it(session, is_of_dot):
    """I24: a process whose clock is behind wrote it, so it seems to be older than the key of its session."""
    first = session.begin(key=None)["refresh_token"]
    if is_of_dot:
        PendingAuthorization.objects.all().delete()
    newest = session.refresh(first).json()["refresh_token"]
    RefreshToken.objects.filter(revoked__isnull=True).update(created=F("created") - timedelta(seconds=5))
    for thief in ({"key": OTHER}, {"key": None}):
        assert_refused(session.refresh(newest, **thief), "invalid_grant")
    assert session.refresh(newest).json()["token_type"] == "DPoP"


# -- no bearer by omission -------------------------------------------------------------------------------------


def test_a_site_may_want_every_token_bound(session, server, lazyauth):
    """Spec 8.4: no proof, no token; the code waits."""
    lazyauth(DPOP={"required": True})
    for one in (session, server):
        code = code_for(one.client)
        assert_refused(one.redeem(code, key=None), "invalid_dpop_proof")
        assert one.redeem(code).json()["token_type"] == "DPoP"


def test_a_client_may_want_its_own_tokens_bound(session):
    """RFC 9449 §5.2: ``dpop_bound_access_tokens``. A session from before is refreshed with a proof only."""
    token = session.begin(key=None)["refresh_token"]
    registration, _ = ClientRegistration.objects.get_or_create(
        client_id=RefreshToken.objects.get().application_id
    )
    registration.metadata = (registration.metadata or {}) | {"dpop_bound_access_tokens": True}
    registration.save()
    assert_refused(session.redeem(code_for(session.client, subject="bob"), key=None), "invalid_dpop_proof")
    assert_refused(session.refresh(token, key=None), "invalid_dpop_proof")
    assert session.refresh(token).json()["token_type"] == "DPoP"


def test_the_metadata_names_the_algorithms():
    """RFC 9449 §5.1."""
    document = get(make_browser(), "/.well-known/oauth-authorization-server").json()
    assert document["dpop_signing_alg_values_supported"] == ["ES256", "PS256", "RS256", "EdDSA", "Ed25519"]


# -- a bound token without its key (I24) -----------------------------------------------------------------------


@FORMATS
def test_a_bound_token_is_no_bearer_anywhere(session, lazyauth, form):
    """RFC 9449 §7.1: what looks up a bearer token finds none."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    token = session.begin()["access_token"]
    answer = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert find_bearer(token) is None
    assert find_bound(token).jkt == KEY.thumbprint
    assert not AccessToken.objects.filter(token_checksum=digest(token)).exists()
    bearer = Session(session.client, None).redeem(code_for(session.client, subject="bob"), key=None)
    assert find_bound(bearer.json()["access_token"]) is None


@FORMATS
def test_i24_a_bound_token_whose_key_nobody_knows_is_not_told_of_as_a_bearer(session, lazyauth, form):
    """I24: a resource that asks us would take it without a proof. Its row outlived what is known of it.

    A JWT says itself what it is bound to.
    """
    lazyauth(ACCESS_TOKEN_FORMAT=form, INTROSPECTION_CLIENTS={"api": [ISSUER]})
    token = session.begin()["access_token"]
    TokenFacts.objects.all().delete()
    found = described(token)
    if form == "jwt":
        assert (found["token_type"], found["cnf"]) == ("DPoP", {"jkt": KEY.thumbprint})
    else:
        assert found == {"active": False}


def test_i24_a_jwt_is_told_of_as_its_row_and_its_claims_agree_or_not_at_all(session):
    """I24: a bound row whose claims name no key, and the other way round. A key that we do not know is no key."""
    session.begin()
    rows, known = AccessToken.objects.all(), []
    for cnf in (
        {},
        {"cnf": None},
        {"cnf": "a"},
        {"cnf": {"x5t#S256": "a"}},
        {"cnf": {"jkt": 1}},
        {"cnf": {"jkt": "k"}},
    ):
        token = keys.sign({"iss": ISSUER, "sub": "1", **cnf}, key=keys.key_for(), typ="at+jwt")
        for checksum in (digest(token), bound_digest(token)):
            rows.update(token_checksum=checksum)
            bearer, *_ = find_bearer_beside_client(token, session.client.client_id)
            if bearer is not None:
                known.append((cnf, checksum == bound_digest(token), bearer.jkt))
    assert known == [({}, False, ""), ({"cnf": {"jkt": "k"}}, True, "k")]


def test_no_text_has_the_digest_of_a_bound_token(session):
    """Whoever presents something else, such as bytes that begin like it, finds nothing."""
    token = session.begin()["access_token"]
    row = AccessToken.objects.get()
    assert row.token_checksum == bound_digest(token)
    for text in (token, f"\xff{token}", f"DPoP {token}", f"\ufffd{token}", f"?{token}"):
        assert digest(text) != row.token_checksum
        assert find_bearer(text) is None


# -- its end ---------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_token_ends_with_its_session(session):
    """I11."""
    token = session.begin()["access_token"]
    end.end_session(PendingAuthorization.objects.get().pk)
    assert find_bound(token) is None
    assert not TokenFacts.objects.exists()


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_client_gives_a_bound_session_back(session, which):
    """RFC 7009 §2: no proof is needed to give something up."""
    tokens = session.begin()
    form = {"token": tokens[which], "client_id": session.client.client_id}
    assert post_form(make_browser(), "/revoke_token", form).status_code == 200
    assert not AccessToken.objects.exists()
    assert not TokenFacts.objects.exists()
    assert_refused(session.refresh(tokens["refresh_token"]), "invalid_grant")


def test_what_is_known_of_a_token_goes_with_it_by_whichever_door(session):
    """I21: an operator deletes the row."""
    session.begin()
    AccessToken.objects.get().delete()
    assert not TokenFacts.objects.exists()


def test_a_replayed_code_still_ends_what_came_of_it(session):
    """I2: the code, its verifier and a new proof of the key: a copy of the code exists."""
    code = code_for(session.client)
    token = session.redeem(code).json()["access_token"]
    assert_refused(session.redeem(code), "invalid_grant")
    assert find_bound(token) is None


# -- what it costs ---------------------------------------------------------------------------------------------


def test_a_proof_costs_no_query_of_its_own_on_postgresql(session):
    """Elsewhere it is one, and what is known of the token another. MariaDB looks first, and has a savepoint."""
    extra = {"postgresql": 0, "sqlite": 2}.get(connection.vendor, 5)
    session.begin()  # What is compiled once.

    def count(**proof) -> tuple[int, int]:
        code = code_for(session.client)
        with CaptureQueriesContext(connection) as exchange:
            token = session.redeem(code, **proof).json()["refresh_token"]
        with CaptureQueriesContext(connection) as refresh:
            assert session.refresh(token, **proof).status_code == 200
        return len(exchange), len(refresh)

    bearer, bound = count(key=None), count()
    assert bound == tuple(number + extra for number in bearer)


def test_the_first_request_of_a_double_click_wins(client_):
    """The link is followed twice: the code is bound all the same."""
    browser = make_browser()
    sign_in(browser, client_, dpop_jkt=KEY.thumbprint)
    assert PendingAuthorization.objects.get().jkt == KEY.thumbprint


# -- against a model of the session ----------------------------------------------------------------------------

PROOFS = st.sampled_from(["none", "first", "second", "copied"])
STEPS = st.lists(st.tuples(PROOFS, st.sampled_from(["newest", "spent"])), min_size=1, max_size=6)


@examples(max_examples=count(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begins=st.sampled_from(["none", "first"]), is_public=st.booleans(), steps=STEPS)
def test_i24_each_token_is_bound_as_a_model_of_the_session_says(
    client_, confidential, begins, is_public, steps
):
    """I24, I10, RFC 9449 §5: whatever comes in whatever order, no refusal of a bound token ends the session.

    The model is one key: that of the session. *copied* is the last proof that was answered, once more.
    """
    keys = {"none": None, "first": KEY, "second": OTHER}
    session = Session(client_ if is_public else confidential)
    newest, spent = session.begin(key=keys[begins])["refresh_token"], None
    bound, kept = begins, None
    last = None
    for sent, which in steps:
        token = newest if which == "newest" or spent is None else spent
        if sent == "copied" and last is None:
            continue
        name, text = last if sent == "copied" else (sent, None)
        key = keys[name]
        proof = text or (key.proof(TOKEN) if key is not None else None)
        answer = session.refresh(token, **({"text": proof} if proof else {"key": None}))
        if is_public and token == spent and name != kept["name"] and not kept["is_of_bound"]:
            # A bearer token came twice. If a key was answered, perhaps another's, the session ends.
            assert_refused(answer, "invalid_grant")
            if kept["name"] != "none":
                return
        elif is_public and bound != "none" and name != bound:
            assert_refused(answer, "invalid_grant")
        elif not is_public and bound != "none" and name == "none":
            assert_refused(answer, "invalid_dpop_proof")
        elif token == spent and name != kept["name"]:
            assert_refused(answer, "invalid_grant")
        elif text is not None:
            assert_refused(answer, "invalid_dpop_proof")
        else:
            assert answer.status_code == 200, answer.content
            if proof is not None:
                last = (name, proof)
            if token == spent:
                assert answer.content == kept["body"]
                continue
            body = answer.json()
            named = decoded(body["access_token"])[1].get("cnf", {}).get("jkt")
            assert named == (key.thumbprint if key is not None else None)
            assert body["token_type"] == ("DPoP" if key is not None else "Bearer")
            spent, newest = token, body["refresh_token"]
            kept = {"name": name, "body": answer.content, "is_of_bound": bound != "none"}
            if is_public and bound == "none":
                bound = name
    # Whoever has what the session wants goes on.
    key = keys[bound]
    assert session.refresh(newest, key=key).status_code == 200
    PendingAuthorization.objects.all().delete()
