"""Issue 16: a host adds claims and chooses how long tokens live, and replaces nothing that others rely on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from oauth2_provider.models import AccessToken

from django_lazyauth.models import PendingAuthorization, ProviderIdentity
from django_lazyauth.tokens.host.claims import IssuedFor, added_claims
from tests.conftest import CONFIDENTIAL_SECRET
from tests.support.journey import code_for, get, make_browser, post_form, redeem
from tests.tokens.conftest import decoded, machine_token, refresh, sign_in

ROLE = "https://auth.example/claims/role"


def role_of(issued_for: IssuedFor):
    return {ROLE: "editor" if issued_for.user.is_staff else "none"}


def userinfo(token):
    return get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"}).json()


@pytest.mark.django_db
def test_claims_are_asked_for_anew_at_each_refresh(client_, lazyauth):
    lazyauth(TOKEN_CLAIMS=role_of, ID_TOKEN_CLAIMS=role_of)
    answer = sign_in(client_)
    assert decoded(answer["access_token"])[1][ROLE] == decoded(answer["id_token"])[1][ROLE] == "none"
    get_user_model().objects.update(is_staff=True)
    again = refresh(client_, answer["refresh_token"])
    assert decoded(again["access_token"])[1][ROLE] == decoded(again["id_token"])[1][ROLE] == "editor"
    assert userinfo(again["access_token"])[ROLE] == "editor"


@pytest.mark.django_db
def test_each_setting_is_for_its_own_tokens(client_, lazyauth):
    lazyauth(
        TOKEN_CLAIMS=lambda _: {"urn:example:of-access": 1},
        ID_TOKEN_CLAIMS=lambda _: {"urn:example:of-id": 2},
    )
    answer = sign_in(client_)
    assert "urn:example:of-id" not in decoded(answer["access_token"])[1]
    assert "urn:example:of-access" not in decoded(answer["id_token"])[1]


@pytest.mark.django_db
def test_the_function_knows_for_whom_the_token_is(client_, machine, lazyauth):
    seen: list[IssuedFor] = []
    lazyauth(TOKEN_CLAIMS=lambda issued_for: seen.append(issued_for) or {})
    tools = "https://tools.example"
    claims = decoded(sign_in(client_, resources=(tools,))["access_token"])[1]
    user = ProviderIdentity.objects.get().user
    assert seen == [
        IssuedFor(user, client_.client_id, frozenset(client_.scope.split()), (tools,), seen[0].session_id)
    ]
    assert str(seen[0].session_id) == claims["tsid"]
    machine_token(machine)
    assert seen[1].user is None
    assert seen[1].client_id == machine.client_id


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_introspection_tells_the_claims_of_a_token_that_cannot_say_them_itself(confidential, lazyauth, form):
    """RFC 7662 §2.2."""
    lazyauth(TOKEN_CLAIMS=role_of, ACCESS_TOKEN_FORMAT=form)
    token = sign_in(confidential)["access_token"]
    session_id = PendingAuthorization.objects.get().pk
    seen: list[IssuedFor] = []
    lazyauth(TOKEN_CLAIMS=lambda issued_for: seen.append(issued_for) or role_of(issued_for))
    form_ = {"token": token, "client_id": confidential.client_id, "client_secret": CONFIDENTIAL_SECRET}
    said = post_form(make_browser(), "/introspect", form_).json()
    assert said["active"] is True
    assert said.get(ROLE) == (None if form == "jwt" else "none")
    assert [one.session_id for one in seen] == ([] if form == "jwt" else [session_id])


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "1"},
        {"scope": "admin"},
        {"roles": ["admin"]},
        {"https://auth.example": 1},
        {"https:sub": 1},
        {"urn:": 1},
        {"mailto:sub@x.example": 1},
        {"https://[": 1},
        {7: 1},
        {ROLE: object()},
        {ROLE: float("nan")},
        {ROLE: "x" * 5000},
        [ROLE],
        None,
    ],
)
def test_a_name_that_is_no_uri_and_claims_without_bounds_are_refused(claims):
    """RFC 7519 §4.2: nobody registers such a name, so nothing that a verifier relies on is replaced."""
    with pytest.raises(ImproperlyConfigured) as refused:
        added_claims("TOKEN_CLAIMS", lambda _: claims, IssuedFor(None, "c", frozenset()))
    assert "xxx" not in str(refused.value)


@pytest.mark.django_db
def test_a_function_that_fails_gives_no_token_and_the_code_still_works(client_, lazyauth):
    """I3: nothing is written."""

    def fail(issued_for):
        raise LookupError("the directory is down")

    code = code_for(client_)
    lazyauth(TOKEN_CLAIMS=fail)
    assert redeem(client_, code).status_code == 500
    assert not get_user_model().objects.exists()
    lazyauth(TOKEN_CLAIMS=None)
    assert redeem(client_, code).status_code == 200


@pytest.mark.django_db
def test_a_function_says_how_long_each_token_lives(client_, lazyauth):
    lazyauth(ACCESS_TOKEN_LIFETIME=lambda one: 60 if "email" in one.scopes else timedelta(minutes=5))
    answer = sign_in(client_)
    claims = decoded(answer["access_token"])[1]
    assert answer["expires_in"] == claims["exp"] - claims["iat"] == 60
    assert AccessToken.objects.get().expires < timezone.now() + timedelta(seconds=61)
    assert refresh(client_, answer["refresh_token"], scope="openid")["expires_in"] == 300


@pytest.mark.django_db
@pytest.mark.parametrize("lifetime", [7200, 0, None, "10", True])
def test_a_lifetime_beyond_the_limit_gives_no_token(client_, lazyauth, lifetime):
    """Spec 11: ``check --deploy`` cannot see what a function returns, so its limit holds when it is called."""
    code = code_for(client_)
    lazyauth(ACCESS_TOKEN_LIFETIME=lambda _: lifetime)
    assert redeem(client_, code).status_code == 500
    assert not AccessToken.objects.exists()


def test_a_path_that_leads_nowhere_is_told_by_the_checks(lazyauth):
    lazyauth(ACCESS_TOKEN_LIFETIME="nowhere.at_all", TOKEN_CLAIMS="nor.here")
    found = [message for message in run_checks() if message.id == "lazyauth.E003"]
    assert len(found) == 2
