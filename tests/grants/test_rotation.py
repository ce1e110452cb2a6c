"""What a refresh token is good for: once, its answer again for 30 s, and never for more (I10, I11, I20)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.clients import operator_actions
from django_lazyauth.errors import SealBroken
from django_lazyauth.models import PendingAuthorization, SealedSuccessor, UpstreamToken
from django_lazyauth.models.fields import digest
from django_lazyauth.tokens import refresh as refresh_tokens
from django_lazyauth.tokens import sealed_answer
from django_lazyauth.upkeep.sweep import sweep
from tests.clients.conftest import PUBLIC, Registrar
from tests.races.rows import assert_nothing_lives
from tests.support.journey import OAuthClient, get, make_browser, post_form, redeem
from tests.support.recorded import code_for
from tests.web.site import change_client, register_client

pytestmark = pytest.mark.django_db

GRACE = 30


class Clock:
    """The time of day, which passes only when the test says so."""

    def __init__(self):
        self.now = datetime.now(UTC)

    def advance(self, **parts):
        self.now += timedelta(**parts)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock


def refresh_form(client, token):
    return {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": client.client_id,
        **({"client_secret": client.client_secret} if client.client_secret else {}),
    }


def refresh(client, token, **changes):
    return post_form(make_browser(), "/token", refresh_form(client, token) | changes)


def assert_refused(answer, error="invalid_grant", status=400):
    assert (answer.status_code, answer.json().get("error")) == (status, error), answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) <= {"error", "error_description"}


def userinfo(token):
    return get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"}).status_code


def live_refresh_tokens():
    return RefreshToken.objects.filter(revoked__isnull=True, access_token__isnull=False)


def session_id():
    return PendingAuthorization.objects.get().pk


@pytest.fixture
def first(client_):
    """The refresh token of an exchange."""
    return redeem(client_, code_for(client_)).json()["refresh_token"]


# -- the grace ---------------------------------------------------------------------------------------------------


def test_i10_a_retry_inside_the_grace_gets_the_very_same_answer(client_, first):
    """I10: byte for byte; nothing is made anew."""
    answer = refresh(client_, first)
    before = [model.objects.count() for model in (AccessToken, RefreshToken, IDToken, SealedSuccessor)]
    for _ in range(3):
        again = refresh(client_, first)
        assert again.status_code == 200
        assert again.content == answer.content
        assert {name: again.headers[name] for name in again.headers} == {
            name: answer.headers[name] for name in answer.headers
        }
    assert [
        model.objects.count() for model in (AccessToken, RefreshToken, IDToken, SealedSuccessor)
    ] == before
    assert live_refresh_tokens().count() == 1
    assert userinfo(answer.json()["access_token"]) == 200
    assert refresh(client_, answer.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("seconds", [0, 1, GRACE])
def test_i10_the_grace_lasts_thirty_seconds(client_, first, clock, seconds):
    """I10, spec 6: within 30 s of its use."""
    answer = refresh(client_, first)
    clock.advance(seconds=seconds)
    assert refresh(client_, first).content == answer.content


@pytest.mark.parametrize("after", [timedelta(seconds=GRACE, microseconds=1), timedelta(seconds=31)])
def test_i10_a_replay_after_the_grace_ends_the_session(client_, first, clock, after):
    """I10, I11: family, access tokens and vault rows go, and what was kept for a retry."""
    answer = refresh(client_, first).json()
    assert UpstreamToken.objects.count() == 1
    clock.now += after
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())
    assert SealedSuccessor.objects.count() == 0
    assert userinfo(answer["access_token"]) == 401
    assert_refused(refresh(client_, answer["refresh_token"]))


def test_i10_without_a_grace_the_first_retry_is_a_replay(client_, first, lazyauth):
    """``REFRESH_GRACE = 0``: nothing is kept at all."""
    lazyauth(REFRESH_GRACE=0)
    answer = refresh(client_, first)
    assert answer.status_code == 200
    assert SealedSuccessor.objects.count() == 0
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i10_a_grace_that_is_switched_off_ends_at_once(client_, first, lazyauth):
    refresh(client_, first)
    lazyauth(REFRESH_GRACE=0)
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i10_a_grace_that_is_shortened_counts_for_what_was_used_before(client_, first, lazyauth, clock):
    refresh(client_, first)
    lazyauth(REFRESH_GRACE=5)
    clock.advance(seconds=5)
    assert refresh(client_, first).status_code == 200
    clock.advance(seconds=1)
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i10_a_grace_that_is_lengthened_does_not_bring_back_what_was_over(client_, first, lazyauth, clock):
    refresh(client_, first)
    lazyauth(REFRESH_GRACE=3600)
    clock.advance(seconds=GRACE + 1)
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i10_one_refresh_token_is_unconsumed_at_any_time(client_, first, clock):
    """I10: whichever tokens of the family are presented, in whatever order, inside the grace."""
    told = [first]
    for turn in range(6):
        answer = refresh(client_, told[-1])
        assert answer.status_code == 200
        told.append(answer.json()["refresh_token"])
        retried = refresh(client_, told[turn])
        assert retried.content == answer.content
        assert live_refresh_tokens().count() == 1
        assert AccessToken.objects.count() == len(told), "each stays good until it expires"
        clock.advance(seconds=2)
    assert len(set(told)) == len(told)


def test_i10_an_older_token_inside_its_grace_gets_its_own_answer_and_nothing_new(client_, first, clock):
    """I10: its refresh token is spent. The one that works comes out of no retry."""
    answer = refresh(client_, first)
    last = refresh(client_, answer.json()["refresh_token"]).json()
    clock.advance(seconds=5)
    again = refresh(client_, first)
    assert again.content == answer.content
    assert userinfo(again.json()["access_token"]) == 200, "it is good until it expires"
    assert live_refresh_tokens().get().token_checksum == digest(last["refresh_token"])
    assert userinfo(last["access_token"]) == 200
    clock.advance(seconds=GRACE)
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i10_what_was_kept_for_older_tokens_goes_with_the_next_refresh(client_, first, clock):
    """Of an old token and a dump no chain of seals leads to the live one."""
    token = first
    for _ in range(4):
        token = refresh(client_, token).json()["refresh_token"]
        clock.advance(minutes=10)
    assert SealedSuccessor.objects.count() == 1


def test_what_was_kept_is_swept_after_the_grace(client_, first, clock):
    refresh(client_, first)
    list(sweep(now=clock.now + timedelta(seconds=GRACE)))
    assert SealedSuccessor.objects.count() == 1
    list(sweep(now=clock.now + timedelta(seconds=GRACE + 1)))
    assert SealedSuccessor.objects.count() == 0
    clock.advance(seconds=GRACE + 1)
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i10_a_token_whose_seal_is_broken_is_a_replay(client_, first):
    """Whoever writes to the database gets no answer of their own into it."""
    refresh(client_, first)
    SealedSuccessor.objects.update(
        sealed=sealed_answer.seal("{}", refresh_token="x", family=uuid4(), client_id="")
    )
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i10_the_database_keeps_one_answer_per_token(client_, first):
    refresh(client_, first)
    kept = SealedSuccessor.objects.get()
    assert kept.token_digest == digest(first)
    kept.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        kept.save(force_insert=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        SealedSuccessor.objects.update(expires_at=kept.created_at)


def test_a_token_is_sealed_for_its_own_family_and_client_only():
    """AES-GCM with the place as associated data."""
    place = {"refresh_token": "token", "family": uuid4(), "client_id": "client"}
    sealed = sealed_answer.seal("the answer", **place)
    assert sealed_answer.open_sealed(sealed, **place) == "the answer"
    assert sealed_answer.seal("the answer", **place) != sealed
    for wrong in ({"refresh_token": "tokem"}, {"family": uuid4()}, {"client_id": "other"}):
        with pytest.raises(SealBroken):
            sealed_answer.open_sealed(sealed, **(place | wrong))
    for tampered in (
        "",
        "v1.",
        "v2." + sealed[3:],
        sealed[:-4],
        "v1.!!!!",
        sealed[:20] + "AAAA" + sealed[24:],
    ):
        with pytest.raises(SealBroken):
            sealed_answer.open_sealed(tampered, **place)


# -- inside the grace, and refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["refresh_token", "access_token", "presented"])
def test_i11_after_a_revocation_no_retry_is_answered(client_, first, name):
    """I11, RFC 7009 §2.1: whichever token of the family was given back."""
    answer = refresh(client_, first).json() | {"presented": first}
    form = {"token": answer[name], "client_id": client_.client_id}
    assert post_form(make_browser(), "/revoke_token", form).status_code == 200
    assert SealedSuccessor.objects.count() == 0
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i11_a_replayed_code_leaves_no_retry(client_):
    """I2, I11."""
    code = code_for(client_)
    first = redeem(client_, code).json()["refresh_token"]
    assert refresh(client_, first).status_code == 200
    assert_refused(redeem(client_, code))
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


@pytest.mark.parametrize("how", ["token", "family", "access token", "SQL"])
def test_i11_a_family_that_ended_by_the_hand_of_others_answers_no_retry(client_, first, how):
    """I11: an end through the models is noticed. SQL knows nothing of sealed answers, and still none is given."""
    refresh(client_, first)
    live = live_refresh_tokens().get()
    match how:
        case "token":
            live.revoke()
        case "family":
            RefreshToken.revoke_family(live.token_family)
        case "access token":
            live.access_token.revoke()
        case "SQL":
            family = RefreshToken.objects.filter(token_family=live.token_family)
            family.update(revoked=timezone.now(), access_token=None)
            AccessToken.objects.all()._raw_delete("default")
    assert SealedSuccessor.objects.count() == (1 if how == "SQL" else 0)
    assert_refused(refresh(client_, first))
    assert_nothing_lives(session_id())


def test_i11_a_user_who_was_deactivated_gets_no_retry(client_, first):
    refresh(client_, first)
    get_user_model().objects.update(is_active=False)
    assert_refused(refresh(client_, first))
    get_user_model().objects.update(is_active=True)
    assert refresh(client_, first).status_code == 200


def test_i11_a_user_who_was_deleted_gets_no_retry(client_, first):
    refresh(client_, first)
    get_user_model().objects.all().delete()
    assert_refused(refresh(client_, first))


def test_i11_a_client_that_was_disabled_gets_no_retry(client_, first, application):
    answer = refresh(client_, first)
    operator_actions.disable([application.pk])
    assert_refused(refresh(client_, first), "invalid_client", 401)
    operator_actions.enable([application.pk])
    assert refresh(client_, first).content == answer.content


def test_a_retry_of_another_client_is_refused_and_ends_nothing(client_, first):
    """RFC 6749 §10.4: the token is its client's, and only that client can be robbed of its session."""
    answer = refresh(client_, first)
    thief = register_client("thief")
    assert_refused(refresh(thief, first))
    assert refresh(client_, first).content == answer.content


def test_a_retry_needs_the_clients_secret(confidential):
    """RFC 6749 §6: inside the grace as before it."""
    first = redeem(confidential, code_for(confidential)).json()["refresh_token"]
    answer = refresh(confidential, first)
    for secret in ("guessed", ""):
        assert_refused(refresh(confidential, first, client_secret=secret), "invalid_client", 401)
    assert refresh(confidential, first).content == answer.content


# -- lifetimes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "status"), [(timedelta(microseconds=1), 200), (timedelta(0), 400)])
def test_a_refresh_token_that_lay_idle_for_fourteen_days_is_over(client_, first, clock, before, status):
    """Spec 6: 14 days idle, counted from its own issue."""
    clock.now = RefreshToken.objects.get().created + timedelta(days=14) - before
    assert refresh(client_, first).status_code == status


@pytest.mark.parametrize(("before", "status"), [(timedelta(milliseconds=1), 200), (timedelta(0), 400)])
def test_a_family_is_over_after_ninety_days(client_, first, clock, lazyauth, before, status):
    """Spec 6: however often it was used. The session's id tells when it began, to the millisecond."""
    began = datetime.fromtimestamp((session_id().int >> 80) / 1000, tz=UTC)
    token = first
    while clock.now + timedelta(days=13) < began + timedelta(days=90):
        clock.advance(days=13)
        token = refresh(client_, token).json()["refresh_token"]
    clock.now = began + timedelta(days=90) - before
    assert refresh(client_, token).status_code == status


def test_a_retry_does_not_outlive_its_family(client_, first, clock, lazyauth):
    """Used just before the end, retried just after it."""
    began = datetime.fromtimestamp((session_id().int >> 80) / 1000, tz=UTC)
    lazyauth(REFRESH_TOKEN_LIFETIME=3600)
    clock.now = began + timedelta(seconds=3590)
    assert refresh(client_, first).status_code == 200
    clock.advance(seconds=9)
    assert refresh(client_, first).status_code == 200
    clock.advance(seconds=1)
    assert_refused(refresh(client_, first))


def test_a_token_of_the_toolkit_without_a_family_gets_one_at_its_first_use(client_, first, clock):
    """I10: so that a replay has something to end; and its age counts from then on."""
    RefreshToken.objects.update(token_family=None)
    answer = refresh(client_, first)
    assert answer.status_code == 200
    assert refresh(client_, first).content == answer.content
    family = RefreshToken.objects.values_list("token_family", flat=True).distinct().get()
    assert family is not None
    clock.advance(days=10)
    token = refresh(client_, answer.json()["refresh_token"]).json()["refresh_token"]
    began = RefreshToken.objects.earliest("created").created
    assert refresh_tokens.started_at(RefreshToken.objects.latest("created")) == began
    assert_refused(refresh(client_, first))
    assert_refused(refresh(client_, token))


# -- scope and audience ------------------------------------------------------------------------------------------

SCOPES = ("openid", "profile", "email", "offline_access")
RESOURCES = tuple(f"https://api.example/{name}" for name in "abc")


def scopes_of(answer):
    return set(answer.json()["scope"].split())


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_i20_a_session_without_a_resource_stays_at_this_site(client_, lazyauth, form):
    """I20, RFC 9068 §3: a session without one is for this site. A token of it may be for a part."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    for elsewhere in (
        "https://api.example/a",
        "https://auth.example.evil.test/",
        "https://auth.example:8443/",
        "http://auth.example/",
        ["https://auth.example/mcp", "https://api.example/a"],
    ):
        assert_refused(refresh(client_, token, resource=elsewhere), "invalid_target")
    token = refresh(client_, token).json()["refresh_token"]
    for wanted in (["https://auth.example/mcp"], ["https://auth.example/other"], []):
        token = refresh(client_, token, resource=wanted).json()["refresh_token"]
        assert AccessToken.objects.latest("pk").resource == wanted
        assert RefreshToken.objects.latest("pk").resource == []


def test_i20_the_claims_of_a_jwt_are_those_of_its_own_request(client_):
    """I20, RFC 9068 §2.2: what a resource server reads, which asks nobody."""
    both = list(RESOURCES[:2])
    answer = redeem(client_, code_for(client_, resource=both, scope="openid email"))
    first = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    answer = refresh(client_, answer.json()["refresh_token"], scope="openid", resource=both[1])
    second = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    third = jwt.decode(
        refresh(client_, answer.json()["refresh_token"]).json()["access_token"],
        options={"verify_signature": False},
    )
    assert (set(first["aud"]), set(first["scope"].split())) == (set(both), {"openid", "email"})
    assert (second["aud"], second["scope"]) == (both[1], "openid")
    assert (set(third["aud"]), set(third["scope"].split())) == (set(both), {"openid", "email"})
    for claims in (second, third):
        assert {name: claims[name] for name in ("iss", "sub", "client_id", "tsid")} == {
            name: first[name] for name in ("iss", "sub", "client_id", "tsid")
        }
        assert claims["jti"] != first["jti"]


def test_i20_a_refused_refresh_spends_nothing(client_, first):
    """RFC 6749 §5.2: the token is good for the request that asks for no more than it has."""
    for changes, error in (
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "openid  email"}, "invalid_scope"),
        ({"resource": "no-uri"}, "invalid_target"),
        ({"resource": "https://api.example/#fragment"}, "invalid_target"),
        ({"resource": ["https://api.example/", ""]}, "invalid_target"),
        ({"resource": "https://api.example/"}, "invalid_target"),
        ({"resource": "http://["}, "invalid_target"),
        ({"resource": "https://api.example/" + "x" * 1024}, "invalid_target"),
        ({"resource": [f"https://api.example/{number}" for number in range(11)]}, "invalid_target"),
    ):
        assert_refused(refresh(client_, first, **changes), error)
    assert IDToken.objects.count() == 1
    assert SealedSuccessor.objects.count() == 0
    assert refresh(client_, first).status_code == 200


def test_i20_a_scope_that_the_client_gave_up_is_not_refreshed(db):
    """I20: what a client registered bounds what it gets, also what it had before."""
    registrar = Registrar()
    registered = registrar.registered(PUBLIC | {"scope": "openid profile email"})
    client = OAuthClient(registered["client_id"])
    first = redeem(client, code_for(client)).json()["refresh_token"]
    second = refresh(client, first).json()["refresh_token"]
    narrowed = registrar.manage("PUT", registered, PUBLIC | {"scope": "openid email"})
    assert narrowed.status_code == 200, narrowed.content
    assert_refused(refresh(client, first), "invalid_scope")
    assert_refused(refresh(client, second, scope="openid profile"), "invalid_scope")
    assert scopes_of(refresh(client, second)) == {"openid", "email"}


def test_i20_a_retry_gets_nothing_that_it_does_not_ask_for(client_):
    """I20: the answer to the first request may be too much for the second, which is refused and ends nothing."""
    granted = list(RESOURCES[:2])
    first = redeem(client_, code_for(client_, resource=granted, scope="openid email")).json()["refresh_token"]
    answer = refresh(client_, first)
    for changes, error in (
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": granted[0]}, "invalid_target"),
        ({"resource": "https://other.example/"}, "invalid_target"),
    ):
        assert_refused(refresh(client_, first, **changes), error)
    for changes in ({"scope": "email openid"}, {"resource": granted}, {}):
        assert refresh(client_, first, **changes).content == answer.content


def test_i20_a_retry_that_asks_for_more_gets_what_the_first_request_got(client_):
    """I20."""
    granted = list(RESOURCES[:2])
    first = redeem(client_, code_for(client_, resource=granted, scope="openid email")).json()["refresh_token"]
    narrow = refresh(client_, first, scope="openid", resource=granted[0])
    for changes in ({}, {"scope": "openid email"}, {"resource": granted}):
        assert refresh(client_, first, **changes).content == narrow.content
    assert live_refresh_tokens().count() == 1


def test_i20_a_retry_that_names_an_audience_gets_no_token_without_one(client_, first):
    """I20, RFC 8707 §2.2: a token for this site is not one for a part of it."""
    refresh(client_, first)
    assert_refused(refresh(client_, first, resource=RESOURCES[0]), "invalid_target")


# -- the ID token ------------------------------------------------------------------------------------------------


def claims_of(answer):
    return jwt.decode(answer.json()["id_token"], options={"verify_signature": False})


@pytest.mark.parametrize("by_header", [False, True])
def test_the_id_token_of_a_refresh_is_about_the_same_sign_in(confidential, by_header):
    """OpenID Connect Core §12.2: same issuer, subject, audience and auth_time; no nonce; iat is now."""
    exchanged = redeem(confidential, code_for(confidential))
    before, token = claims_of(exchanged), exchanged.json()["refresh_token"]
    if by_header:
        import base64

        pair = base64.b64encode(f"{confidential.client_id}:{confidential.client_secret}".encode()).decode()
        form = {"grant_type": "refresh_token", "refresh_token": token, "nonce": "of-the-client"}
        answer = post_form(make_browser(), "/token", form, headers={"authorization": f"Basic {pair}"})
    else:
        answer = refresh(confidential, token, nonce="of-the-client")
    after = claims_of(answer)
    assert {name: after[name] for name in ("iss", "sub", "aud", "auth_time", "sid")} == {
        name: before[name] for name in ("iss", "sub", "aud", "auth_time", "sid")
    }
    assert after["aud"] == confidential.client_id
    assert after["sid"] == str(session_id())
    assert after["iat"] >= before["iat"]
    assert "nonce" not in after
    assert after["jti"] != before["jti"]


def test_without_openid_there_is_no_id_token(client_):
    """OpenID Connect Core §12.1."""
    token = redeem(client_, code_for(client_, scope="email")).json()["refresh_token"]
    assert "id_token" not in refresh(client_, token).json()


# -- what else a request may hold --------------------------------------------------------------------------------

POLLUTION = {
    "user": "1",
    "client": "x",
    "scopes": "admin",
    "identity": "x",
    "id_token": "x",
    "extra_credentials": "x",
    "refresh_token_instance": "x",
    "response_type": "token",
    "claims": "{",
    "expires_in": "x",
    "access_token": "x",
    "nonce": "x",
    "state": "x",
}


@pytest.mark.parametrize("name", POLLUTION)
@pytest.mark.parametrize("scope", ["openid email", "email"])
def test_unknown_parameters_are_ignored(client_, name, scope):
    """RFC 6749 §3.2: they become no attribute of what oauthlib and DOT pass around (I18)."""
    form = client_.token_form(code_for(client_, scope=scope)) | {name: POLLUTION[name]}
    answer = post_form(make_browser(), "/token", form)
    assert answer.status_code == 200, answer.content
    assert answer.json()["scope"] == scope
    form = refresh_form(client_, answer.json()["refresh_token"]) | {name: POLLUTION[name]}
    answer = post_form(make_browser(), "/token", form)
    assert answer.status_code == 200, answer.content
    assert answer.json()["scope"] == scope
    assert ("id_token" in answer.json()) == ("openid" in scope)
    assert answer.json()["expires_in"] == 600


def test_unknown_parameters_of_other_grants_are_ignored(confidential):
    """RFC 6749 §3.2."""
    change_client(confidential, authorization_grant_type="client-credentials")
    form = {
        "grant_type": "client_credentials",
        "client_id": confidential.client_id,
        "client_secret": confidential.client_secret,
        "scope": "profile",
    }
    answer = post_form(make_browser(), "/token", form | POLLUTION)
    assert answer.status_code == 200, answer.content
    assert set(answer.json()) == {"access_token", "expires_in", "token_type", "scope"}


def test_the_answer_that_is_kept_holds_nothing_in_the_clear(client_, first):
    """I13."""
    answer = refresh(client_, first).json()
    kept = json.dumps(list(SealedSuccessor.objects.values()), default=str)
    for secret in (
        first,
        answer["access_token"],
        answer["refresh_token"],
        answer["id_token"],
        "people.example",
    ):
        assert secret not in kept


def test_a_refresh_token_is_locked_in_a_transaction_or_not_at_all(first):
    if connection.in_atomic_block:
        assert refresh_tokens.lock(first).row.user_id
        assert refresh_tokens.lock("unknown") is None
