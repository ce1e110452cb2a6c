"""A session has one grant. A refresh chooses within it for one access token, and spends none of it (I20)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from oauth2_provider.models import AccessToken, Application, RefreshToken

from django_lazyauth.models import FamilyGrant, PendingAuthorization
from django_lazyauth.sessions import end
from django_lazyauth.upkeep.sweep import sweep
from tests.clients.conftest import PUBLIC, Registrar
from tests.grants.test_rotation import (
    RESOURCES,
    SCOPES,
    assert_refused,
    live_refresh_tokens,
    refresh,
    scopes_of,
    userinfo,
)
from tests.support.examples import examples as count
from tests.support.journey import OAuthClient, make_browser, post_form, redeem
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db

ELSEWHERE = "https://api.example/d"


def audience_of_newest() -> set[str]:
    return set(AccessToken.objects.latest("pk").resource)


# -- against a model of the grant --------------------------------------------------------------------------------

SUBSETS_OF_SCOPES = st.one_of(st.none(), st.sets(st.sampled_from([*SCOPES, "admin"]), min_size=1))
SUBSETS_OF_RESOURCES = st.sets(st.sampled_from([*RESOURCES, ELSEWHERE]))
STEPS = st.lists(st.tuples(SUBSETS_OF_SCOPES, SUBSETS_OF_RESOURCES, st.booleans()), max_size=8)


@examples(max_examples=count(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scopes=st.sets(st.sampled_from(SCOPES[:3]), min_size=1),
    resources=st.sets(st.sampled_from(RESOURCES), min_size=1),
    began_at_the_toolkit=st.booleans(),
    steps=STEPS,
)
def test_i20_each_token_is_what_a_model_of_the_grant_says(
    client_, scopes, resources, began_at_the_toolkit, steps
):
    """I20, RFC 6749 §6, RFC 8707 §2.2: never beyond the grant, and always up to it, in whatever order.

    The model is the grant itself. No step changes it. A step that is refused spends nothing.
    """
    answer = redeem(client_, code_for(client_, scope=" ".join(scopes), resource=sorted(resources)))
    if began_at_the_toolkit:
        PendingAuthorization.objects.all().delete()
    token = answer.json()["refresh_token"]
    for asked_scopes, asked_resources, retries in steps:
        changes = {"scope": " ".join(sorted(asked_scopes))} if asked_scopes else {}
        if asked_resources:
            changes["resource"] = sorted(asked_resources)
        answer = refresh(client_, token, **changes)
        tolerated = (asked_scopes or set()) - {"offline_access"}
        if not tolerated <= scopes:
            assert_refused(answer, "invalid_scope")
            continue
        if not asked_resources <= resources:
            assert_refused(answer, "invalid_target")
            continue
        assert scopes_of(answer) == (tolerated if asked_scopes else scopes)
        assert audience_of_newest() == (asked_resources or resources)
        if retries:
            assert refresh(client_, token, **changes).content == answer.content
        token = answer.json()["refresh_token"]
    assert live_refresh_tokens().filter(token_family__isnull=False).exists()


def test_i20_twenty_refreshes_alternate_resources_and_scopes(client_):
    """RFC 8707 §2.2: one grant serves two APIs, a token each."""
    scopes = ("openid", "profile", "email")
    body = redeem(client_, code_for(client_, scope=" ".join(scopes), resource=list(RESOURCES[:2]))).json()
    for turn in range(20):
        scope, resource = scopes[turn % 3], RESOURCES[turn % 2]
        answer = refresh(client_, body["refresh_token"], scope=scope, resource=resource)
        assert (scopes_of(answer), audience_of_newest()) == ({scope}, {resource})
        body = answer.json()
    answer = refresh(client_, body["refresh_token"])
    assert (scopes_of(answer), audience_of_newest()) == (set(scopes), set(RESOURCES[:2]))


def test_i20_an_exchange_for_one_resource_keeps_the_grant_of_both(client_):
    """RFC 8707 §2.2: the resource of the token request is that of its access token."""
    code = code_for(client_, resource=list(RESOURCES[:2]))
    body = redeem(client_, code, resource=RESOURCES[0]).json()
    assert audience_of_newest() == {RESOURCES[0]}
    assert refresh(client_, body["refresh_token"], resource=RESOURCES[1]).status_code == 200
    assert audience_of_newest() == {RESOURCES[1]}


@pytest.mark.parametrize(
    ("one", "other"),
    [("https://api.example", "https://api.example/"), ("https://api.example/", "https://api.example")],
    ids=["added", "left_out"],
)
def test_i20_the_slash_of_an_empty_path_makes_no_other_resource(client_, one, other):
    """RFC 3986 §6.2.3: clients name what the metadata says in one request, and a parsed URL in the next."""
    answer = redeem(client_, code_for(client_, resource=[one, RESOURCES[0]]), resource=other)
    assert (answer.status_code, audience_of_newest()) == (200, {one})
    token = answer.json()["refresh_token"]
    first = refresh(client_, token, resource=other)
    assert (first.status_code, audience_of_newest()) == (200, {one})
    assert refresh(client_, token, resource=other).json() == first.json()
    assert_refused(refresh(client_, token, resource=RESOURCES[0]), "invalid_target")
    assert_refused(
        refresh(client_, first.json()["refresh_token"], resource=f"{RESOURCES[0]}/"), "invalid_target"
    )


def test_i20_two_refreshes_at_once_for_two_resources_give_one_answer(client_):
    """I10: the second is a retry that asks for something else. It is refused, and the family lives."""
    token = redeem(client_, code_for(client_, resource=list(RESOURCES[:2]))).json()["refresh_token"]
    answer = refresh(client_, token, resource=RESOURCES[0])
    assert_refused(refresh(client_, token, resource=RESOURCES[1]), "invalid_target")
    assert refresh(client_, answer.json()["refresh_token"], resource=RESOURCES[1]).status_code == 200


def test_a_scope_that_authorize_dropped_is_dropped_at_token(client_):
    """OpenID Connect Core §11: clients repeat at the refresh what they asked for at first."""
    body = redeem(client_, code_for(client_, scope="openid offline_access")).json()
    answer = refresh(client_, body["refresh_token"], scope="openid offline_access")
    assert answer.status_code == 200, answer.content
    assert refresh(client_, body["refresh_token"], scope="openid offline_access").content == answer.content


def test_i20_a_scope_that_a_client_registers_again_is_there_again(db):
    """I20: what the person allowed and the client is registered for now."""
    registrar = Registrar()
    registered = registrar.registered(PUBLIC | {"scope": "openid profile email"})
    client = OAuthClient(registered["client_id"])
    token = redeem(client, code_for(client)).json()["refresh_token"]
    for scope, granted in (
        ("openid", {"openid"}),
        ("openid profile email", {"openid", "profile", "email"}),
    ):
        changed = registrar.manage("PUT", registered, PUBLIC | {"scope": scope})
        assert changed.status_code == 200, changed.content
        registered |= changed.json()
        answer = refresh(client, token)
        assert scopes_of(answer) == granted
        token = answer.json()["refresh_token"]


# -- sessions that django-oauth-toolkit began --------------------------------------------------------------------


def began_at_the_toolkit(client, **parameters):
    token = redeem(client, code_for(client, **parameters)).json()["refresh_token"]
    PendingAuthorization.objects.all().delete()
    return token


@pytest.mark.parametrize("has_family", [True, False])
def test_i20_what_the_first_use_of_a_session_finds_is_its_grant(client_, has_family):
    """I20: the session has no authorization request that says what the person allowed."""
    token = began_at_the_toolkit(client_, scope="openid email", resource=list(RESOURCES[:2]))
    if not has_family:
        RefreshToken.objects.update(token_family=None)
    token = refresh(client_, token, scope="openid", resource=RESOURCES[0]).json()["refresh_token"]
    grant = FamilyGrant.objects.get()
    assert (set(grant.scope.split()), set(grant.resource)) == ({"openid", "email"}, set(RESOURCES[:2]))
    assert grant.family == RefreshToken.objects.latest("pk").token_family
    answer = refresh(client_, token)
    assert (scopes_of(answer), audience_of_newest()) == ({"openid", "email"}, set(RESOURCES[:2]))
    token = answer.json()["refresh_token"]
    assert_refused(refresh(client_, token, scope="openid profile"), "invalid_scope")
    assert_refused(refresh(client_, token, resource=RESOURCES[2]), "invalid_target")
    assert FamilyGrant.objects.count() == 1


def test_a_grant_of_a_session_is_swept_when_no_family_of_its_age_can_live(client_, lazyauth):
    refresh(client_, began_at_the_toolkit(client_))
    lazyauth(REFRESH_TOKEN_LIFETIME=timedelta(days=20))
    list(sweep(now=timezone.now() + timedelta(days=19)))
    assert FamilyGrant.objects.count() == 1
    list(sweep(now=timezone.now() + timedelta(days=20, seconds=1)))
    assert FamilyGrant.objects.count() == 0


# -- the access token that a refresh replaces --------------------------------------------------------------------


@pytest.fixture
def replaced(client_):
    """A session after three refreshes: its access tokens, oldest first, and its newest refresh token."""
    body = redeem(client_, code_for(client_)).json()
    told = [body["access_token"]]
    for _ in range(3):
        body = refresh(client_, body["refresh_token"]).json()
        told.append(body["access_token"])
    return told, body["refresh_token"]


def test_the_access_token_that_a_refresh_replaces_stays_good_until_it_expires(replaced):
    """RFC 6749 §6: a request that is under way with it must not fail."""
    told, _ = replaced
    assert [userinfo(token) for token in told] == [200] * 4
    AccessToken.objects.filter(pk=AccessToken.objects.earliest("pk").pk).update(expires=timezone.now())
    assert [userinfo(token) for token in told] == [401, 200, 200, 200]


def _session() -> UUID:
    return PendingAuthorization.objects.get().pk


def _revoke(client, token):
    assert (
        post_form(
            make_browser(), "/revoke_token", {"token": token, "client_id": client.client_id}
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    "way",
    [
        "end_session",
        "end_all_sessions",
        "revoke the refresh token",
        "revoke the newest access token",
        "revoke the oldest access token",
        "replay",
        "deactivate",
        "the toolkit revokes the family",
        "delete the client",
    ],
)
def test_i11_the_end_of_a_session_is_the_end_of_every_access_token_of_it(client_, replaced, way, lazyauth):
    """I2, I11: also of those that earlier refreshes replaced."""
    told, token = replaced
    user = PendingAuthorization.objects.get().user
    match way:
        case "end_session":
            assert end.end_session(_session())
        case "end_all_sessions":
            assert end.end_all_sessions(user) == 1
        case "revoke the refresh token":
            _revoke(client_, token)
        case "revoke the newest access token":
            _revoke(client_, told[-1])
        case "revoke the oldest access token":
            _revoke(client_, told[0])
        case "replay":
            lazyauth(REFRESH_GRACE=timedelta(0))
            refresh(client_, token)
            assert_refused(refresh(client_, token))
        case "deactivate":
            user.is_active = False
            user.save()
        case "the toolkit revokes the family":
            RefreshToken.revoke_family(_session())
        case "delete the client":
            Application.objects.get(client_id=client_.client_id).delete()
    assert [userinfo(one) for one in told] == [401] * 4
    assert not AccessToken.objects.exists()


def test_expired_access_tokens_that_were_replaced_are_swept_and_their_session_goes_on(client_, replaced):
    _, token = replaced
    list(sweep(now=timezone.now() + timedelta(hours=1)))
    assert AccessToken.objects.count() == 1, "that of the refresh token which works"
    assert RefreshToken.objects.count() == 4, "a replay of each is recognised"
    assert refresh(client_, token).status_code == 200


def test_i11_an_access_token_that_outlives_its_refresh_token_still_ends_with_the_session(client_, lazyauth):
    """I11: the end of the session finds the access token by the refresh token, which therefore stays as long."""
    lazyauth(ACCESS_TOKEN_LIFETIME=timedelta(days=30), REFRESH_TOKEN_IDLE_LIFETIME=timedelta(days=1))
    token = redeem(client_, code_for(client_)).json()["access_token"]
    list(sweep(now=timezone.now() + timedelta(days=2)))
    end.end_session(_session())
    assert userinfo(token) == 401
