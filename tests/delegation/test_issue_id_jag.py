"""Spec 8.5, as IdP: what this site says to another server of a person who is signed in here."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.utils import timezone
from oauth2_provider.models import AccessToken

from django_lazyauth.errors import AccessDenied, InsufficientUserAuthentication
from django_lazyauth.models import PendingAuthorization, UsedProof
from django_lazyauth.sessions import end
from django_lazyauth.tokens import keys, logout_token
from django_lazyauth.toolkit.client_methods import BY_KEY
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.grants.test_dpop import Session
from tests.support.delegation import ACCESS_TOKEN, API, POLICY, exchange
from tests.support.dpop import ProofKey
from tests.support.journey import ISSUER, OAuthClient, get, make_browser, post_form
from tests.tokens.conftest import decoded, refresh, sign_in

pytestmark = pytest.mark.django_db

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
THERE, MCP = "https://there.example", "https://there.example/mcp"
TERMS = {"clients": {"site": "site-there"}, "scopes": ["notes:read", "notes:write"], "resources": [MCP]}


@pytest.fixture
def tokens(db, lazyauth):
    """What a confidential client of this site holds of somebody."""
    register(
        client_id="site",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
    )
    lazyauth(ID_JAG_AUDIENCES={THERE: TERMS})
    return sign_in(OAuthClient("site", CONFIDENTIAL_SECRET, scope="openid email"))


def ask(token, kind=ID_TOKEN, **form):
    form = {"requested_token_type": ID_JAG, "subject_token_type": kind, "audience": THERE, **form}
    return exchange(token, client_id=form.pop("client_id", "site"), **form)


def error_of(answer):
    assert answer.status_code in (400, 401), answer.content
    return answer.json()["error"]


@pytest.mark.parametrize("kind", [ID_TOKEN, REFRESH_TOKEN])
def test_a_client_gets_a_word_for_its_person_to_another_server(tokens, kind):
    """Draft §4.3: short-lived, for one audience, and no row."""
    rows = AccessToken.objects.count()
    answer = ask(tokens["id_token" if kind == ID_TOKEN else "refresh_token"], kind, scope="notes:read").json()
    assert answer.keys() == {"issued_token_type", "access_token", "token_type", "scope", "expires_in"}
    assert (answer["issued_token_type"], answer["token_type"]) == (ID_JAG, "N_A")
    assert (answer["scope"], answer["expires_in"]) == ("notes:read", 300)
    header, claims = decoded(answer["access_token"])
    assert header["typ"] == "oauth-id-jag+jwt"
    assert header["kid"] in {key.kid for key in keys.signing_keys()}
    user = get_user_model().objects.get()
    assert claims["exp"] - claims["iat"] == 300
    assert claims["jti"]
    told = {name: claims[name] for name in ("iss", "aud", "sub", "client_id", "resource", "scope", "amr")}
    assert told == {
        "iss": ISSUER,
        "aud": THERE,
        "sub": str(user.pk),
        "client_id": "site-there",
        "resource": MCP,
        "scope": "notes:read",
        "amr": ["pwd"],
    }
    assert claims["email"] == user.email
    assert "name" not in claims
    assert AccessToken.objects.count() == rows
    # Nothing was used up, and it is no token here.
    assert refresh(OAuthClient("site"), tokens["refresh_token"], client_secret=CONFIDENTIAL_SECRET)
    assert error_of(exchange(answer["access_token"], client_id="site")) == "unauthorized_client"


def test_i25_a_word_for_another_server_is_worth_nothing_here(tokens, lazyauth):
    """Spec 8.0, 8.5: it is signed with the keys of our tokens, and is none of them."""
    lazyauth(TOKEN_EXCHANGE={"site": POLICY})
    word = ask(tokens["id_token"]).json()["access_token"]
    bearer = {"authorization": f"Bearer {word}"}
    assert get(make_browser(), "/userinfo", headers=bearer).status_code == 401
    proved = {"client_id": "site", "client_secret": CONFIDENTIAL_SECRET}
    assert post_form(make_browser(), "/introspect", {"token": word, **proved}).json() == {"active": False}
    assert logout_token.read_hint(word) is None
    for kind in (ID_TOKEN, REFRESH_TOKEN):
        assert error_of(ask(word, kind)) == "invalid_request"
    assert error_of(exchange(word, client_id="site", audience=API)) == "invalid_request"


def test_i26_what_the_operator_did_not_name_is_refused(tokens, lazyauth):
    token = tokens["id_token"]
    for form, error in [
        ({"audience": "https://other.example"}, "invalid_target"),
        ({"audience": [THERE, "https://other.example"]}, "invalid_target"),
        ({"audience": None}, "invalid_target"),
        ({"audience": ISSUER}, "invalid_target"),
        ({"resource": "https://there.example/other"}, "invalid_target"),
        ({"scope": "notes:admin"}, "invalid_scope"),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"kind": ACCESS_TOKEN}, "invalid_request"),
        ({"kind": REFRESH_TOKEN}, "invalid_request"),
        ({"client_secret": "wrong"}, "invalid_client"),
    ]:
        assert error_of(ask(token, **form)) == error, form
    lazyauth(ID_JAG_AUDIENCES={ISSUER: TERMS})
    assert error_of(ask(token, audience=ISSUER)) == "invalid_target"
    lazyauth(ID_JAG_AUDIENCES={THERE: TERMS | {"resources": [THERE]}})
    said = ask(token, resource=f"{THERE}/").json()["access_token"]
    assert decoded(said)[1]["resource"] == THERE
    lazyauth(ID_JAG_AUDIENCES={THERE: TERMS | {"clients": {"other": "x"}}})
    assert error_of(ask(token)) == "unauthorized_client"
    lazyauth(ID_JAG_AUDIENCES={})
    assert error_of(ask(token)) == "unsupported_grant_type"


def test_i21_somebody_who_left_or_whose_token_is_anothers_is_spoken_for_no_more(tokens, client_, monkeypatch):
    """Issue 17: the company disables the person, and nothing new is issued."""
    foreign = sign_in(client_, subject="bob")["id_token"]
    assert error_of(ask(foreign)) == "invalid_request"
    assert error_of(ask(tokens["access_token"])) == "invalid_request"
    later = timezone.now() + timedelta(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: later)
        assert error_of(ask(tokens["id_token"])) == "invalid_request"
    assert ask(tokens["id_token"]).status_code == 200
    ada = PendingAuthorization.objects.get(client__client_id="site")
    get_user_model().objects.filter(pk=ada.user_id).update(is_active=False)
    assert error_of(ask(tokens["id_token"])) == "invalid_request"
    get_user_model().objects.filter(pk=ada.user_id).update(is_active=True)
    end.end_session(ada.pk)
    assert logout_token.read_hint(tokens["id_token"]) is not None
    assert error_of(ask(tokens["id_token"])) == "invalid_request"
    assert error_of(ask(tokens["refresh_token"], REFRESH_TOKEN)) == "invalid_request"


def test_the_host_decides_for_each_person(tokens, lazyauth):
    def some(user, client, audience, resources, scopes):
        assert (client.client_id, audience, resources) == ("site", THERE, (MCP,))
        return {"notes:read", "more"} & set(scopes) | {"more"}

    def deny(*args):
        raise AccessDenied("Not this person.")

    def step_up(*args):
        raise InsufficientUserAuthentication(acr_values=("urn:example:mfa",), max_age=300)

    lazyauth(ID_JAG_POLICY=some)
    assert ask(tokens["id_token"]).json()["scope"] == "notes:read"
    lazyauth(ID_JAG_POLICY=lambda *args: ())
    assert error_of(ask(tokens["id_token"])) == "invalid_scope"
    lazyauth(ID_JAG_POLICY=deny)
    assert error_of(ask(tokens["id_token"])) == "access_denied"
    lazyauth(ID_JAG_POLICY=step_up)
    answer = ask(tokens["id_token"])
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "insufficient_user_authentication",
        "acr_values": "urn:example:mfa",
        "max_age": 300,
    }


def test_checks_name_entries_that_have_no_effect(tokens, lazyauth):
    lazyauth(ID_JAG_AUDIENCES={THERE: TERMS | {"clients": {"site": "x", "nobody": "y"}}, ISSUER: TERMS})
    found = [(one.id, one.msg) for one in run_checks(databases=["default"])]
    assert [msg for id_, msg in found if id_ == "lazyauth.E025"] == [
        "LAZYAUTH[\"ID_JAG_AUDIENCES\"] names 'nobody', which is no client that proves itself."
    ]
    assert "lazyauth.E026" in {id_ for id_, _ in found}
    lazyauth(ID_JAG_AUDIENCES={"http://there.example": TERMS})
    assert "ID_JAG_AUDIENCES: http://there.example is not https." in {
        one.msg for one in run_checks(include_deployment_checks=True) if one.id == "lazyauth.E104"
    }


def test_i24_a_proof_binds_it_and_is_good_once(tokens):
    key = ProofKey()
    proof = {"dpop": key.proof(f"{ISSUER}/token")}
    claims = decoded(ask(tokens["id_token"], headers=proof).json()["access_token"])[1]
    assert claims["cnf"] == {"jkt": key.thumbprint}
    assert error_of(ask(tokens["id_token"], headers=proof)) == "invalid_dpop_proof"
    assert UsedProof.objects.count() == 1


def test_i24_of_a_session_that_is_bound_nothing_is_had_without_a_key(tokens):
    server = Session(OAuthClient("site", CONFIDENTIAL_SECRET, scope="openid email"))
    bound = server.begin()
    for kind, token in ((ID_TOKEN, bound["id_token"]), (REFRESH_TOKEN, bound["refresh_token"])):
        assert error_of(ask(token, kind)) == "invalid_dpop_proof"
        answer = ask(token, kind, headers={"dpop": server.key.proof(f"{ISSUER}/token")})
        assert "cnf" in decoded(answer.json()["access_token"])[1]
    PendingAuthorization.objects.update(client_auth=BY_KEY)
    assert error_of(ask(tokens["refresh_token"], REFRESH_TOKEN)) == "invalid_client"


def test_the_metadata_says_that_it_is_given(tokens, lazyauth):
    name = "identity_chaining_requested_token_types_supported"
    assert get(make_browser(), "/.well-known/oauth-authorization-server").json()[name] == [ID_JAG]
    lazyauth(ID_JAG_AUDIENCES={})
    assert name not in get(make_browser(), "/.well-known/oauth-authorization-server").json()
