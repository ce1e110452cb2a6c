"""How strongly and how lately the person of a token signed in, and which scopes contain others (RFC 9470)."""

from __future__ import annotations

import re

import pytest
from django.urls import include, path
from django.utils import timezone
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.conf import lazyauth_settings, with_contained
from django_lazyauth.conf.messages import refused_values
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.resource_server.authentication import AccessTokenAuthentication
from django_lazyauth.resource_server.permissions import RequireAuthentication, RequireScope
from tests.support.journey import ISSUER, get, make_browser, post_form
from tests.tokens.conftest import decoded, machine_token, refresh, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

MFA = "urn:example:mfa"
CLASSES = {"offline": AccessTokenAuthentication, "database": LazyAuthAuthentication}
#: What each way to check a token can check.
WAYS = [("offline", "jwt"), ("database", "jwt"), ("database", "opaque")]
EACH_WAY = pytest.mark.parametrize(("kind", "form"), WAYS, ids=[" ".join(way) for way in WAYS])
VIEWS = {
    "strong": [RequireAuthentication(acr=[MFA, "urn:example:hardware"])],
    "recent": [IsAuthenticated, RequireAuthentication(max_age=300)],
    "both": [RequireScope("notes:write"), RequireAuthentication(acr=MFA, max_age=300)],
    "read": [RequireScope("notes:read")],
    "everything": [RequireScope("notes:read", "notes:admin")],
}


def view(authentication, permissions):
    def answer(self, request):
        auth = request.auth
        since = auth.auth_time and int(auth.auth_time.timestamp())
        return Response({"acr": auth.acr, "amr": auth.amr, "auth_time": since})

    members = {"authentication_classes": [authentication], "permission_classes": permissions, "get": answer}
    return type("View", (APIView,), members).as_view()


urlpatterns = [
    *(path(f"{kind}/{name}", view(one, VIEWS[name])) for kind, one in CLASSES.items() for name in VIEWS),
    path("", include("django_lazyauth.urls")),
]


def call(url, token, **extra):
    return get(make_browser(), url, headers={"authorization": f"Bearer {token}"}, **extra)


def challenge_of(answer):
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))


@pytest.fixture
def notes(lazyauth):
    scopes = ("notes:read", "notes:write", "notes:admin")
    lazyauth(SCOPES={scope: scope for scope in scopes})


# -- RFC 9470 --------------------------------------------------------------------------------------------------


@EACH_WAY
def test_a_token_of_a_weaker_sign_in_is_told_what_is_needed(client_, lazyauth, signs_in_with, kind, form):
    """RFC 9470 §3."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    signs_in_with(acr="urn:example:pwd")
    token = sign_in(client_)["access_token"]
    answer = call(f"/{kind}/strong", token)
    assert answer.status_code == 401
    told = challenge_of(answer)
    metadata = f"{ISSUER}/.well-known/oauth-protected-resource/{kind}/strong"
    assert told.pop("error_description")
    assert told == {
        "realm": "api",
        "error": "insufficient_user_authentication",
        "acr_values": f"{MFA} urn:example:hardware",
        "resource_metadata": metadata,
    }
    assert answer.json() == {"error": told["error"], "acr_values": told["acr_values"]}


@EACH_WAY
def test_a_token_of_a_strong_sign_in_passes_and_says_how(client_, lazyauth, signs_in_with, kind, form):
    """RFC 9470 §6: `acr` and `auth_time` of a JWT, and of an opaque token."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    signs_in_with(acr=MFA, ago=100)
    token = sign_in(client_, scope="profile")["access_token"]
    since = int(PendingAuthorization.objects.get().auth_time.timestamp())
    for name in ("strong", "recent"):
        answer = call(f"/{kind}/{name}", token)
        assert answer.status_code == 200
        assert answer.json() == {"acr": MFA, "amr": ["pwd"], "auth_time": since}


@EACH_WAY
def test_an_older_sign_in_is_told_the_age_that_is_needed(client_, lazyauth, signs_in_with, kind, form):
    """RFC 9470 §3, and the minute by which clocks may differ."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    signs_in_with(ago=350)
    assert call(f"/{kind}/recent", sign_in(client_)["access_token"]).status_code == 200
    signs_in_with(ago=365)
    answer = call(f"/{kind}/recent", sign_in(client_)["access_token"])
    assert answer.status_code == 401
    told = challenge_of(answer)
    assert (told["error"], told["max_age"]) == ("insufficient_user_authentication", "300")
    assert "acr_values" not in told


@EACH_WAY
def test_a_refresh_makes_no_sign_in_younger(client_, lazyauth, signs_in_with, kind, form):
    """RFC 9068 §2.2.1: what the first token said, the refreshed one says, with and without `openid`."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    signs_in_with(acr=MFA, ago=400)
    tokens = sign_in(client_, scope="profile email")
    renewed = refresh(client_, tokens["refresh_token"])["access_token"]
    for token in (tokens["access_token"], renewed):
        assert call(f"/{kind}/strong", token).json()["acr"] == MFA
        assert call(f"/{kind}/recent", token).status_code == 401


@EACH_WAY
@pytest.mark.usefixtures("notes")
def test_the_challenge_names_the_scopes_of_the_operation_too(client_, lazyauth, signs_in_with, kind, form):
    """RFC 9470 §3, MCP's authorization: the person is asked once for all."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    signs_in_with(acr="")
    token = sign_in(client_, scope="notes:write")["access_token"]
    told = challenge_of(call(f"/{kind}/both", token))
    assert (told["acr_values"], told["max_age"], told["scope"]) == (MFA, "300", "notes:write")


def test_a_client_that_acts_for_itself_never_signed_in(machine):
    """RFC 9470 §3: there is no person who could step up, and no way around."""
    token = machine_token(machine).json()["access_token"]
    assert call("/offline/strong", token).status_code == 401


@pytest.mark.parametrize("kind", CLASSES)
def test_nobody_gets_the_challenge_of_a_missing_token(kind):
    """RFC 6750 §3.1: no token, no error code."""
    for name in ("strong", "recent"):
        answer = get(make_browser(), f"/{kind}/{name}")
        assert answer.status_code == 401
        assert "error" not in challenge_of(answer)


def test_only_a_view_that_asks_pays_for_the_answer(
    client_, lazyauth, signs_in_with, django_assert_num_queries, notes
):
    """One query more for the database's way, none for the other."""
    signs_in_with(acr=MFA)
    token = sign_in(client_, scope="notes:read")["access_token"]
    with django_assert_num_queries(0):
        assert call("/offline/strong", token).status_code == 200
    with django_assert_num_queries(2):
        assert call("/database/strong", token).status_code == 200


def test_a_sign_in_to_come_is_no_recent_one(client_, signs_in_with):
    """RFC 9470 §6: such a token would pass for ever."""
    from django_lazyauth.openid.access_token import verify_access_token
    from django_lazyauth.openid.key_set import KeySet
    from django_lazyauth.tokens import keys

    now = timezone.now()
    claims = {
        "iss": ISSUER, "aud": ISSUER, "sub": "1", "client_id": "c", "jti": "j",
        "iat": int(now.timestamp()), "exp": int(now.timestamp()) + 600,
    }  # fmt: skip
    for auth_time in (claims["iat"] + 3600, "yesterday", True, 10**400, None):
        raw = keys.sign(
            claims | {"auth_time": auth_time, "acr": 5, "amr": "pwd"}, key=keys.key_for(), typ="at+jwt"
        )
        token = verify_access_token(
            raw,
            issuer=ISSUER,
            accepts_audience=lambda _: True,
            keys=KeySet.from_jwks(keys.public_key_set()),
            algorithms=["RS256", "ES256", "EdDSA"],
            now=now,
        )
        assert (token.auth_time, token.acr, token.amr) == (None, "", ())


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"acr": []},
        {"acr": ["two words"]},
        {"acr": ['"']},
        {"acr": ["\\"]},
        {"acr": [""]},
        {"max_age": -1},
    ],
    ids=["nothing", "no class", "a blank", "a quote", "a backslash", "empty", "below zero"],
)
def test_what_cannot_stand_in_a_challenge_is_no_requirement(wrong):
    with pytest.raises(ValueError, match=r"acr|class|max_age"):
        RequireAuthentication(**wrong)


# -- scopes that contain others --------------------------------------------------------------------------------


@EACH_WAY
@pytest.mark.usefixtures("notes")
def test_a_scope_is_good_for_what_it_contains(client_, lazyauth, kind, form):
    """Spec 8.7: at any depth, and in no other direction."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    tokens = {
        scope: sign_in(client_, scope=scope)["access_token"] for scope in ("notes:admin", "notes:write")
    }
    for token in tokens.values():
        assert call(f"/{kind}/read", token).status_code == 403
    lazyauth(SCOPE_HIERARCHY={"notes:admin": ["notes:write"], "notes:write": ["notes:read"]})
    for token in tokens.values():
        assert call(f"/{kind}/read", token).status_code == 200
    assert call(f"/{kind}/everything", tokens["notes:admin"]).status_code == 200
    answer = call(f"/{kind}/everything", tokens["notes:write"])
    assert (answer.status_code, challenge_of(answer)["scope"]) == (403, "notes:read notes:admin")


@pytest.mark.usefixtures("notes")
def test_i20_what_is_granted_stays_as_it_was_allowed(client_, lazyauth, confidential):
    """I20: neither the token, nor introspection, nor a refresh counts what a scope contains."""
    lazyauth(SCOPE_HIERARCHY={"notes:write": ["notes:read"]})
    tokens = sign_in(confidential, scope="notes:write")
    assert tokens["scope"] == decoded(tokens["access_token"])[1]["scope"] == "notes:write"
    form = {
        "token": tokens["access_token"],
        "client_id": confidential.client_id,
        "client_secret": confidential.client_secret,
    }
    assert post_form(make_browser(), "/introspect", form).json()["scope"] == "notes:write"
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "scope": "notes:read",
        **form,
    }
    assert post_form(make_browser(), "/token", form).json()["error"] == "invalid_scope"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, "has a cycle"),
        ({"a": ["a"]}, "has a cycle"),
        ({"a": "b"}, "must be a dict of scopes"),
        ({"a b": []}, "must be a dict of scopes"),
        (["a"], "must be a dict of scopes"),
    ],
    ids=["a cycle", "itself", "a text", "a blank", "a list"],
)
def test_a_hierarchy_that_is_none_is_an_error_of_the_check(lazyauth, value, words):
    lazyauth(SCOPE_HIERARCHY=value)
    [found] = refused_values(["SCOPE_HIERARCHY"])
    assert (found.id, words in found.msg) == ("lazyauth.E003", True)


def test_contained_scopes_are_found_by_several_ways(lazyauth):
    lazyauth(SCOPE_HIERARCHY={"a": ["b", "c"], "b": ["d"], "c": ["d"], "e": ["f"]})
    assert with_contained(["a"], lazyauth_settings.scope_hierarchy) == {"a", "b", "c", "d"}
    assert with_contained([], lazyauth_settings.scope_hierarchy) == frozenset()
