"""RFC 8693, spec 8.6: what a tool server gets for the person's token, and what it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken, get_application_model

from django_lazyauth.admin.client_words import policies_in_words
from django_lazyauth.clients.operator_actions import disable
from django_lazyauth.models import Ending, PendingAuthorization, SealedSuccessor, TokenFacts
from django_lazyauth.sessions import end
from django_lazyauth.sessions.ending_job import Target
from django_lazyauth.sessions.ending_job import start as start_ending
from django_lazyauth.tokens.bearer import find_bearer
from tests.benchmarks.cost import counting
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.grants.test_dpop import Session
from tests.support.delegation import (
    ACCESS_TOKEN,
    API,
    OTHER_API,
    POLICY,
    TOOL,
    confidential,
    exchange,
    exchanged,
)
from tests.support.dpop import ProofKey
from tests.support.journey import ISSUER, OAuthClient, code_for, get, make_browser, post_form, redeem
from tests.tokens.conftest import decoded, machine_token, sign_in

pytestmark = pytest.mark.django_db

FORMATS = pytest.mark.parametrize("form", ["jwt", "opaque"])
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"


@pytest.fixture(autouse=True)
def _tool(db, lazyauth):
    confidential("tool")
    lazyauth(INTROSPECTION_CLIENTS={"tool": [TOOL]}, TOKEN_EXCHANGE={"tool": POLICY})


@pytest.fixture
def tokens(client_):
    """What the person's client holds: it signed in for the tool server."""
    return sign_in(client_, resources=(TOOL,))


@pytest.fixture
def token(tokens):
    return tokens["access_token"]


def introspect(token, client_id="tool"):
    form = {"token": token, "client_id": client_id, "client_secret": CONFIDENTIAL_SECRET}
    return post_form(make_browser(), "/introspect", form).json()


def own_token():
    """Return a token of the tool server that acts for itself."""
    return machine_token(OAuthClient("tool", CONFIDENTIAL_SECRET), scope="profile").json()["access_token"]


def error_of(answer):
    assert answer.status_code in (400, 401), answer.content
    return answer.json()["error"]


# -- what it is worth --------------------------------------------------------------------------------------


@FORMATS
def test_i26_a_tool_server_acts_for_the_person_with_what_the_token_and_the_policy_both_allow(
    client_, lazyauth, form
):
    """RFC 8693 §2.2.1, §4.1: who, for whom, where and how far; and no refresh token."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    token = sign_in(client_, resources=(TOOL,))["access_token"]
    answer = exchanged(token)
    assert answer.keys() == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert answer["issued_token_type"] == ACCESS_TOKEN
    assert (answer["token_type"], answer["scope"]) == ("Bearer", "email profile")
    assert 0 < answer["expires_in"] <= 600
    user, session = get_user_model().objects.get(), PendingAuthorization.objects.get()
    expected = {
        "sub": str(user.pk),
        "aud": API,
        "client_id": "tool",
        "act": {"sub": "tool"},
        "scope": "email profile",
        "iss": ISSUER,
        "auth_time": int(session.auth_time.timestamp()),
        "amr": ["pwd"],
    }
    said = introspect(answer["access_token"])
    assert {name: said.get(name) for name in expected} == expected
    if form == "jwt":
        claims = decoded(answer["access_token"])[1]
        assert {name: claims.get(name) for name in expected} == expected
        assert claims["tsid"] == str(session.pk)
        assert claims["exp"] <= decoded(token)[1]["exp"]
    assert RefreshToken.objects.count() == 1


def test_a_client_may_exchange_a_token_of_its_own(lazyauth):
    register(
        client_id="site",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
    )
    lazyauth(TOKEN_EXCHANGE={"site": POLICY})
    client = OAuthClient("site", CONFIDENTIAL_SECRET)
    answer = exchanged(sign_in(client)["access_token"], client_id="site", scope="email", audience=API)
    assert answer["scope"] == "email"


def test_i20_a_scope_that_contains_the_policys_is_enough(client_, lazyauth):
    """Spec 8.7: what a scope contains counts at an exchange, and what is given is the policy's."""
    lazyauth(
        SCOPE_HIERARCHY={"email": ["mail:read", "mail:send"]},
        TOKEN_EXCHANGE={"tool": {"audiences": [API], "scopes": ["mail:read"]}},
        SCOPES={"mail:read": "Read", "mail:send": "Send"},
    )
    token = sign_in(client_, resources=(TOOL,))["access_token"]
    assert exchanged(token)["scope"] == "mail:read"
    assert error_of(exchange(token, scope="mail:send")) == "invalid_scope"


def test_it_lives_no_longer_than_what_it_was_given_for(token):
    AccessToken.objects.update(expires=timezone.now() + timedelta(seconds=30))
    answer = exchanged(token)
    assert answer["expires_in"] <= 30
    claims = decoded(answer["access_token"])[1]
    assert claims["exp"] - claims["iat"] <= 31
    assert AccessToken.objects.latest("pk").expires == AccessToken.objects.earliest("pk").expires
    assert TokenFacts.objects.get().expires_at == AccessToken.objects.latest("pk").expires


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "email upstream:github"}, "invalid_scope"),
        ({"audience": OTHER_API}, "invalid_target"),
        ({"resource": OTHER_API}, "invalid_target"),
        ({"resource": [API, OTHER_API]}, "invalid_target"),
        ({"resource": f"{API}/below"}, "invalid_target"),
        ({"resource": "no-uri"}, "invalid_target"),
        ({"audience": "upstream:github"}, "invalid_target"),
        ({"audience": ["upstream:github", API]}, "invalid_target"),
        ({"requested_token_type": REFRESH_TOKEN}, "invalid_request"),
        ({"subject_token_type": REFRESH_TOKEN}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
    ],
)
def test_i26_what_the_policy_does_not_say_is_refused_and_nothing_is_written(token, form, error):
    assert error_of(exchange(token, **form)) == error
    assert AccessToken.objects.count() == 1
    assert not TokenFacts.objects.exists()


def test_i26_a_policy_of_several_audiences_wants_one_named(token, lazyauth):
    lazyauth(TOKEN_EXCHANGE={"tool": {"audiences": [API, OTHER_API], "scopes": ["email"]}})
    assert error_of(exchange(token)) == "invalid_target"
    both = exchanged(token, resource=API, audience=OTHER_API)["access_token"]
    assert decoded(both)[1]["aud"] == [API, OTHER_API]
    # A library parsed it and wrote it down again.
    assert decoded(exchanged(token, resource=f"{API}/")["access_token"])[1]["aud"] == API


def test_i26_a_token_with_none_of_the_scopes_gives_nothing(client_):
    token = sign_in(client_, resources=(TOOL,), scope="openid")["access_token"]
    assert error_of(exchange(token)) == "invalid_scope"


# -- who may, and with what --------------------------------------------------------------------------------


def test_i26_clients_without_a_word_of_the_operator_exchange_nothing(token, lazyauth):
    confidential("stranger")
    register(client_id="public")
    lazyauth(TOKEN_EXCHANGE={"tool": POLICY, "public": POLICY})
    assert error_of(exchange(token, client_id="stranger")) == "unauthorized_client"
    assert error_of(exchange(token, client_id="public")) == "invalid_client"
    assert error_of(exchange(token, client_id="public", client_secret=None)) == "invalid_client"
    assert error_of(exchange(token, client_secret="wrong")) == "invalid_client"
    lazyauth(TOKEN_EXCHANGE={})
    assert error_of(exchange(token)) == "unsupported_grant_type"
    assert "token-exchange" not in get(make_browser(), "/.well-known/openid-configuration").content.decode()


def test_i26_only_a_live_access_token_of_a_person_that_is_meant_for_the_caller_is_taken(client_, tokens):
    """RFC 8693 §2.2.2: ``invalid_request``, and nothing tells which of it."""
    for wrong in (tokens["refresh_token"], tokens["id_token"], "unknown", "x" * 5000):
        assert error_of(exchange(wrong)) == "invalid_request"
    foreign = sign_in(client_, resources=(API,))["access_token"]
    assert error_of(exchange(foreign)) == "invalid_request"
    assert error_of(exchange(own_token())) == "invalid_request"
    AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert error_of(exchange(tokens["access_token"])) == "invalid_request"


@pytest.mark.parametrize("gone", ["user", "client"])
def test_i21_a_token_whose_person_or_client_is_out_of_use_is_refused(token, application, gone):
    if gone == "user":
        get_user_model().objects.update(is_active=False)
    else:
        disable([application.pk])
    assert error_of(exchange(token)) == "invalid_request"


def test_the_same_token_may_be_exchanged_again(token):
    first, second = exchanged(token)["access_token"], exchanged(token)["access_token"]
    assert first != second
    assert introspect(first)["active"]
    assert introspect(second)["active"]


def test_an_exchange_asks_the_database_little(token):
    """The client with the token, the session, and one statement on PostgreSQL that writes."""
    exchanged(token)
    with counting(connection) as cost:
        exchanged(token)
    assert cost.queries <= (4 if connection.vendor == "postgresql" else 6), cost.statements
    assert cost.commits <= 1


# -- who acts ----------------------------------------------------------------------------------------------


def chain(lazyauth, depth):
    """Let servers call one another: tool-1 calls tool-2, and so on. Return their exchanges in turn."""
    names = [f"tool-{number}" for number in range(1, depth + 1)]
    for name in names:
        confidential(name)
    lazyauth(
        INTROSPECTION_CLIENTS={name: [f"https://{name}.example"] for name in names},
        TOKEN_EXCHANGE={
            name: {"audiences": [f"https://{following}.example"], "scopes": ["email"]}
            for name, following in zip(names, [*names[1:], "end"], strict=True)
        },
    )
    return names


def test_i26_five_hand_a_token_on_and_not_six(client_, lazyauth):
    """RFC 8693 §4.1: who acts now is outermost."""
    names = chain(lazyauth, 6)
    token = sign_in(client_, resources=("https://tool-1.example",))["access_token"]
    for name in names[:5]:
        token = exchanged(token, client_id=name)["access_token"]
    act, found = decoded(token)[1]["act"], []
    while act:
        found.append(act["sub"])
        act = act.get("act")
    assert found == names[4::-1]
    assert error_of(exchange(token, client_id=names[5])) == "invalid_request"
    end.end_session(PendingAuthorization.objects.get().pk)
    assert not AccessToken.objects.exists()
    assert not TokenFacts.objects.exists()


def test_somebody_else_acts_where_the_operator_lets_the_client_say_so(token, lazyauth):
    lazyauth(TOKEN_EXCHANGE={"tool": POLICY | {"actors": True}})
    named = {"actor_token_type": ACCESS_TOKEN}
    assert decoded(exchanged(token, actor_token=own_token(), **named)["access_token"])[1]["act"] == {
        "sub": "tool"
    }
    # Another client's token, and one that says itself who acts.
    for wrong in (token, exchanged(token)["access_token"], "unknown"):
        assert error_of(exchange(token, actor_token=wrong, **named)) == "invalid_request"


# -- keys --------------------------------------------------------------------------------------------------


def test_i24_a_bound_token_is_exchanged_for_one_that_is_bound_to_the_callers_key(client_, lazyauth):
    """RFC 9449 §5; spec 8.6: without a proof nothing is given, unless the operator says so."""
    own, theirs = ProofKey(), ProofKey()
    begun = Session(client_, own).redeem(code_for(client_, resource=TOOL)).json()
    token = begun["access_token"]
    assert error_of(exchange(token)) == "invalid_dpop_proof"
    proof = {"dpop": theirs.proof(f"{ISSUER}/token")}
    answer = exchange(token, headers=proof).json()
    assert answer["token_type"] == "DPoP"
    assert introspect(answer["access_token"])["cnf"] == {"jkt": theirs.thumbprint}
    assert find_bearer(answer["access_token"]) is None
    assert error_of(exchange(token, headers=proof)) == "invalid_dpop_proof"
    lazyauth(TOKEN_EXCHANGE={"tool": POLICY | {"unbound": True}})
    assert exchanged(token)["token_type"] == "Bearer"


# -- what the operator is told ------------------------------------------------------------------------------


def test_checks_name_entries_that_have_no_effect_or_weaken(lazyauth):
    register(client_id="public")
    lazyauth(
        TOKEN_EXCHANGE={
            "tool": POLICY | {"unbound": True},
            "public": POLICY,
            "nobody": {"upstreams": {"nowhere": "email"}},
        }
    )
    found = run_checks(databases=["default"], include_deployment_checks=True)
    told = {
        (one.id, name) for one in found for name in ("tool", "public", "nobody", "nowhere") if name in one.msg
    }
    assert {("lazyauth.E025", "public"), ("lazyauth.E025", "nobody"), ("lazyauth.W024", "tool")} <= told
    assert ("lazyauth.E040", "nowhere") in told
    assert ("lazyauth.E025", "tool") not in told


@pytest.mark.parametrize("policy", [{}, {"scopes": ["email"]}, {"audience": [API]}, {"audiences": API}, []])
def test_an_entry_that_cannot_be_read_is_refused_with_its_place(lazyauth, policy):
    lazyauth(TOKEN_EXCHANGE={"tool": policy})
    (found,) = [one for one in run_checks() if one.id == "lazyauth.E003"]
    assert found.msg.startswith('LAZYAUTH["TOKEN_EXCHANGE"][0]')


def test_the_page_of_a_client_says_what_it_may(lazyauth):
    lazyauth(TOKEN_EXCHANGE={"tool": POLICY | {"upstreams": {"demo": "email"}}})
    words = list(policies_in_words(get_application_model().objects.get(client_id="tool")))
    assert words[-2:] == [
        f"It acts for people at {API} with profile email at most.",
        "It gets people's own tokens of demo.",
    ]


# -- how it ends -------------------------------------------------------------------------------------------


def _revoked(tokens, client, user, application):
    form = {"token": tokens["refresh_token"], "client_id": client.client_id}
    assert post_form(make_browser(), "/revoke_token", form).status_code == 200


def _replayed(tokens, client, user, application):
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": client.client_id,
    }
    post_form(make_browser(), "/token", form)
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(hours=1))
    SealedSuccessor.objects.all().delete()
    assert error_of(post_form(make_browser(), "/token", form)) == "invalid_grant"


def _job(tokens, client, user, application):
    start_ending(Target(Ending.CLIENT, str(application.pk), "client"), user=None)


def _deactivated(tokens, client, user, application):
    user.is_active = False
    user.save()


WAYS = {
    "session": lambda tokens, client, user, application: end.end_session(
        PendingAuthorization.objects.get().pk
    ),
    "revocation": _revoked,
    "replay": _replayed,
    "all of the person": lambda tokens, client, user, application: end.end_all_sessions(user),
    "withdrawn": lambda tokens, client, user, application: end.withdraw(user, application),
    "job": _job,
    "deactivated": _deactivated,
    "person deleted": lambda tokens, client, user, application: user.delete(),
    "client deleted": lambda tokens, client, user, application: application.delete(),
    "tool deleted": lambda *_: get_application_model().objects.get(client_id="tool").delete(),
}


@pytest.mark.parametrize("way", WAYS)
def test_i11_it_ends_with_the_session_in_every_way(client_, application, tokens, lazyauth, way):
    """Spec 6: also what was exchanged once more."""
    lazyauth(
        INTROSPECTION_CLIENTS={"tool": [TOOL, API]},
        TOKEN_EXCHANGE={"tool": POLICY | {"audiences": [API, OTHER_API]}},
    )
    first = exchanged(tokens["access_token"], audience=API)["access_token"]
    second = exchanged(first, audience=OTHER_API)["access_token"]
    assert find_bearer(first)
    assert find_bearer(second)
    WAYS[way](tokens, client_, get_user_model().objects.get(), application)
    assert find_bearer(first) is None
    assert find_bearer(second) is None
    tools = AccessToken.objects.filter(application__client_id="tool")
    assert not tools.exists()


def test_i21_a_tool_server_that_revokes_its_token_ends_nobodys_session(client_, tokens):
    given = exchanged(tokens["access_token"])["access_token"]
    form = {"token": given, "client_id": "tool", "client_secret": CONFIDENTIAL_SECRET}
    assert post_form(make_browser(), "/revoke_token", form).status_code == 200
    assert find_bearer(given) is None
    assert not TokenFacts.objects.exists()
    assert find_bearer(tokens["access_token"]) is not None


def test_another_session_of_the_person_goes_on(client_, tokens):
    other = exchanged(redeem(client_, code_for(client_, resource=TOOL)).json()["access_token"])
    end.end_session(PendingAuthorization.objects.earliest("created_at").pk)
    assert find_bearer(other["access_token"]) is not None
