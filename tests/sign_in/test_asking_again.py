"""Spec 9, asking again: who brings no refresh token is asked for consent once more, before anything is written."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_lazyauth.checks.provider_report import check_providers
from django_lazyauth.errors import RefreshExpired, RefreshUnavailable
from django_lazyauth.models import (
    DeferredRegistration,
    GrantState,
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    Status,
    UpstreamGrant,
    UpstreamToken,
)
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.sessions import end
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.upstream.health import REST
from django_lazyauth.vault import store
from tests.support.journey import consent, get, make_browser, query_of, redeem, submit
from tests.support.processes import together
from tests.support.waiting import follow_waiting
from tests.vault.test_canary import database_text

pytestmark = pytest.mark.django_db

#: What Google wants.
GOOGLE = {"offline": "always", "offline_scopes": [], "offline_params": {"access_type": "offline"}}


@pytest.fixture
def google(upstream, lazyauth):
    """A provider that gives a refresh token with a consent only, and has that of person-1 already."""

    def configured(**config):
        lazyauth(PROVIDERS={"acme": upstream.config(**GOOGLE | config)})
        upstream.control(consented=["person-1"])
        return upstream

    return configured


@pytest.fixture
def asked(google, client_):
    """A browser that came back without a refresh token, and the answer that it got."""
    upstream = google()
    browser = make_browser()
    return upstream, browser, answered(upstream, browser, leave(browser, client_))


def leave(browser, client_, **changes):
    """Go to the provider; where it is the only way in, no page is before it."""
    page = get(browser, f"/authorize?{client_.authorize_query(**changes)}")
    return page if page.status_code == 303 else submit(browser, page, provider="acme")


def answered(upstream, browser, redirect, **levers):
    """Agree at the provider, and come back."""
    back = urlsplit(upstream.authorize(redirect.headers["Location"], **levers))
    return get(browser, f"{back.path}?{back.query}")


def is_asked(upstream, answer):
    """Say whether *answer* leads to the provider for consent."""
    where = answer.headers.get("Location", "")
    return where.startswith(f"{upstream.issuer}/authorize?") and query_of(where)["prompt"] == "consent"


def redeemed(browser, client_, answer):
    """Finish; return the session."""
    if not answer.headers["Location"].startswith(client_.redirect_uri):
        answer = consent(browser, answer)
    tokens = redeem(client_, query_of(answer.headers["Location"])["code"])
    assert tokens.status_code == 200, tokens.content
    return UpstreamToken.objects.filter(provider="acme").latest("pk")


def signed_in(upstream, client_, **levers):
    """Sign in by a new browser. Return the session, and how often the person was asked for consent."""
    browser, times = make_browser(), 0
    answer = answered(upstream, browser, leave(browser, client_), **levers)
    while is_asked(upstream, answer):
        times += 1
        answer = answered(upstream, browser, answer)
    return redeemed(browser, client_, answer), times


def held(row):
    return store.get(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id)


def renewed(row):
    return fresh_token(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id, force=True)


# -- the second request ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_i4_who_brings_no_refresh_token_is_asked_once_more_before_anything_is_written(
    google, client_, lazyauth, mode
):
    upstream, browser = google(), make_browser()
    lazyauth(REGISTRATION=mode)
    first = query_of((leaving := leave(browser, client_)).headers["Location"])
    assert "prompt" not in first
    answer = answered(upstream, browser, leaving)
    second = query_of(answer.headers["Location"])
    assert is_asked(upstream, answer)
    assert (second["access_type"], second["login_hint"]) == ("offline", "person-1@acme.example")
    assert second["scope"] == first["scope"]
    for model in (get_user_model(), ProviderIdentity, DeferredRegistration, UpstreamToken, UpstreamGrant):
        assert not model._default_manager.exists(), model
    row = redeemed(browser, client_, answered(upstream, browser, answer))
    assert held(row).refresh_token
    assert UpstreamGrant.objects.get().is_standing
    assert PendingAuthorization.objects.count() == 1


def test_i9_the_second_leg_has_secrets_of_its_own(google, client_):
    upstream, browser = google(), make_browser()
    leaving = leave(browser, client_)
    first = query_of(leaving.headers["Location"])
    second = query_of(answered(upstream, browser, leaving).headers["Location"])
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


def test_no_address_holds_a_token(asked):
    """I13."""
    _, _, answer = asked
    assert set(query_of(answer.headers["Location"])) == {
        *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge"),
        *("code_challenge_method", "access_type", "prompt", "login_hint"),
    }
    assert answer.content == b""


def test_i13_the_first_answer_waits_sealed(google, client_):
    upstream, browser = google(), make_browser()
    upstream.control(prefix="canary-")
    assert is_asked(upstream, answered(upstream, browser, leave(browser, client_)))
    assert "canary-" not in database_text()
    assert PendingAuthorization.objects.get().private.startswith("v1.")


def test_i23_a_second_click_on_the_first_answer_leads_to_the_same_request(google, client_):
    upstream, browser = google(), make_browser()
    back = urlsplit(upstream.authorize(leave(browser, client_).headers["Location"]))
    answers = [get(browser, f"{back.path}?{back.query}").headers["Location"] for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(upstream.requests("/token")) == 1


def test_what_the_client_wished_was_done_at_the_first_leg(google, client_):
    upstream, browser = google(), make_browser()
    leaving = leave(browser, client_, prompt="login", max_age=3600)
    assert query_of(leaving.headers["Location"])["prompt"] == "login"
    second = query_of(answered(upstream, browser, leaving).headers["Location"])
    assert (second["prompt"], second["max_age"]) == ("consent", "3600")


def test_consent_is_asked_for_in_the_words_of_the_provider(google, client_):
    upstream, browser = google(prompt_params={"consent": {"approval_prompt": "force"}}), make_browser()
    second = query_of(answered(upstream, browser, leave(browser, client_)).headers["Location"])
    assert second["approval_prompt"] == "force"
    assert "prompt" not in second


def test_i7_the_second_answer_belongs_to_the_browser_that_began(asked):
    upstream, browser, answer = asked
    back = urlsplit(upstream.authorize(answer.headers["Location"]))
    assert get(make_browser(), f"{back.path}?{back.query}").status_code == 400
    assert not get_user_model().objects.exists()
    assert get(browser, f"{back.path}?{back.query}").status_code == 303


@pytest.mark.parametrize(
    "levers",
    [
        {"claims": {"nonce": "another"}},
        {"callback": {"iss": "https://evil.example"}},
        {"unpublished_key": True},
    ],
)
def test_i9_the_second_answer_is_checked_as_the_first_was(asked, levers):
    """The first answer does not stand in for one that is not the provider's."""
    upstream, browser, answer = asked
    page = answered(upstream, browser, answer, **levers)
    assert "could not be verified" in page.content.decode()
    assert PendingAuthorization.objects.get().status == Status.REQUESTED
    assert not DeferredRegistration.objects.exists()


def test_a_second_answer_of_another_account_signs_nobody_in(asked, client_, caplog):
    """The consent was asked of the first. Who meant the other account signs in with it, at the next try."""
    upstream, browser, answer = asked
    caplog.set_level("INFO", "django_lazyauth.upstream")
    page = answered(upstream, browser, answer, sub="person-2")
    assert "did not let you sign in" in page.content.decode()
    assert "detail=needs_interaction: another_account" in caplog.text
    assert "person-2" not in caplog.text
    assert not DeferredRegistration.objects.exists()
    again = submit(browser, page, provider="acme")
    assert query_of(again.headers["Location"])["prompt"] == "login"
    answer = answered(upstream, browser, again, sub="person-2")
    assert not is_asked(upstream, answer)
    assert redeemed(browser, client_, answer).subject == "person-2"


# -- an answer that brings nothing ---------------------------------------------------------------------------


def test_who_gets_none_at_the_second_answer_either_is_signed_in(google, client_):
    upstream = google()
    row, times = signed_in(upstream, client_, omit_refresh_token=True)
    assert times == 1
    assert held(row).access_token
    with pytest.raises(RefreshUnavailable):
        renewed(row)


def test_who_cancels_the_second_question_is_told_so_and_may_sign_in_without_it(asked, client_):
    """It is the only way in, and the client hears nothing yet: there is one, without the question."""
    upstream, browser, answer = asked
    page = answered(upstream, browser, answer, authorize_error="access_denied")
    assert "You did not sign in with Acme." in page.content.decode()
    assert not get_user_model().objects.exists()
    upstream.control(authorize_error=None)
    answer = answered(upstream, browser, submit(browser, page, provider="acme"))
    assert not is_asked(upstream, answer)
    row = redeemed(browser, client_, answer)
    assert held(row).refresh_token == ""
    assert ProviderKeySet.objects.get().asked_in_vain == 0


@pytest.mark.parametrize(
    ("levers", "in_vain"),
    [
        ({"authorize_error": "server_error"}, 0),
        ({"authorize_error": "invalid_request"}, 0),
        ({"authorize_error": "interaction_required"}, 0),
        ({"token_answers": ["500"]}, 1),
        ({"token_answers": [{"status": 401, "body": {"error": "invalid_client"}}] * 2}, 1),
    ],
)
def test_a_second_answer_that_does_not_come_loses_no_sign_in(asked, client_, levers, in_vain, caplog):
    """What only the browser says is not counted: three strangers' errors would keep everybody from being asked."""
    upstream, browser, answer = asked
    caplog.set_level("INFO", "django_lazyauth.upstream")
    row = redeemed(browser, client_, answered(upstream, browser, answer, **levers))
    assert held(row).access_token
    assert "was asked for consent once more and did not answer" in caplog.text
    assert ProviderKeySet.objects.get().asked_in_vain == in_vain
    assert ProviderIdentity.objects.get().subject == "person-1"


def test_a_provider_that_was_changed_meanwhile_is_not_taken_at_its_first_word(asked, lazyauth):
    upstream, browser, answer = asked
    back = urlsplit(upstream.authorize(answer.headers["Location"]))
    lazyauth(PROVIDERS={"acme": upstream.config(**GOOGLE, enabled=False)})
    page = get(browser, f"{back.path}?{back.query}")
    assert page.status_code == 200
    assert not DeferredRegistration.objects.exists()


# -- how often ------------------------------------------------------------------------------------------------


def test_nobody_is_asked_who_has_a_grant_to_join(google, client_):
    upstream = google()
    first, times = signed_in(upstream, client_)
    second, more = signed_in(upstream, client_)
    assert (times, more) == (1, 0)
    assert first.grant_id == second.grant_id
    assert renewed(second).version > held(first).version - 1


def test_a_grant_of_other_scopes_is_no_grant_to_join(google, client_):
    upstream = google()
    signed_in(upstream, client_)
    upstream.control(consented=["person-1"])
    google(scopes=["openid", "email", "calendar"])
    ProviderIdentity.objects.update(asked_again_at=None)
    assert signed_in(upstream, client_)[1] == 1


@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_a_person_is_asked_once_in_30_days(google, client_, lazyauth, mode):
    lazyauth(REGISTRATION=mode)
    upstream = google()
    found = [signed_in(upstream, client_, omit_refresh_token=True)[1] for _ in range(3)]
    assert found == [1, 0, 0]
    ProviderIdentity.objects.update(asked_again_at=timezone.now() - timedelta(days=29))
    assert signed_in(upstream, client_)[1] == 0
    ProviderIdentity.objects.update(asked_again_at=timezone.now() - timedelta(days=31))
    upstream.control(omit_refresh_token=False)
    row, times = signed_in(upstream, client_)
    assert times == 1
    assert held(row).refresh_token


def test_a_new_person_is_asked_once_in_30_days_where_the_account_is_another_entrys(google, client_, lazyauth):
    upstream = google()
    entry = upstream.config(**GOOGLE, accounts_of="owner")
    lazyauth(PROVIDERS={"owner": upstream.config(**GOOGLE), "acme": entry})
    found = [signed_in(upstream, client_, omit_refresh_token=True)[1] for _ in range(2)]
    assert found == [1, 0]
    assert ProviderIdentity.objects.get().provider == "owner"


def not_asked_yet(google, client_, **config):
    """Return the upstream, after somebody signed in who was not asked."""
    signed_in(google(**config | {"offline": "never"}), client_)
    assert ProviderIdentity.objects.get().asked_again_at is None
    return google(**config)


def test_of_two_flows_of_one_person_one_is_asked(google, client_):
    upstream = not_asked_yet(google, client_)
    browsers = make_browser(), make_browser()
    answers = [answered(upstream, browser, leave(browser, client_)) for browser in browsers]
    assert [is_asked(upstream, answer) for answer in answers] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_of_two_flows_of_one_person_at_the_same_moment_one_is_asked(google, client_):
    upstream = not_asked_yet(google, client_)
    browsers = make_browser(), make_browser()
    backs = [
        urlsplit(upstream.authorize(leave(browser, client_).headers["Location"])) for browser in browsers
    ]
    answers = together(
        *(
            partial(get, browser, f"{back.path}?{back.query}")
            for browser, back in zip(browsers, backs, strict=True)
        )
    )
    assert sorted(is_asked(upstream, answer) for answer in answers) == [False, True]


def asked_lately(google, client_, **config):
    """Return a session that renews, of a person who was asked a moment ago."""
    upstream = google(**config)
    row, times = signed_in(upstream, client_)
    assert (times, bool(held(row).refresh_token)) == (1, True)
    assert ProviderIdentity.objects.get().asked_again_at is not None
    return upstream, row


def test_a_person_whose_grant_died_is_asked_again(google, client_):
    upstream, row = asked_lately(google, client_)
    upstream.control(token_answers=["invalid_grant"])
    with pytest.raises(RefreshExpired):
        renewed(row)
    row, times = signed_in(upstream, client_)
    assert (times, bool(held(row).refresh_token)) == (1, True)


@pytest.mark.django_db(transaction=True)
def test_a_person_whose_grant_was_revoked_is_asked_again(google, client_):
    upstream, row = asked_lately(google, client_, revocation="token")
    end.end_session(row.session_id)
    give_up = time.monotonic() + 20
    while UpstreamGrant.objects.filter(state=GrantState.LEAVING).exists():
        # A thread revokes it.
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert len(upstream.requests("/revoke")) == 1
    assert signed_in(upstream, client_)[1] == 1


def test_a_person_who_only_signed_out_is_not(google, client_):
    """Their consent stands there, and nobody who signs out wants to be asked for it again."""
    upstream, row = asked_lately(google, client_, revocation="grant")
    end.end_session(row.session_id)
    row, times = signed_in(upstream, client_)
    assert (times, held(row).refresh_token) == (0, "")


def test_an_upstream_that_gave_none_three_times_in_a_row_is_left_alone_for_a_day(google, client_):
    upstream = google()
    upstream.control(consented=[f"person-{number}" for number in range(9)])
    people = (f"person-{number}" for number in range(9))
    found = [signed_in(upstream, client_, sub=next(people), omit_refresh_token=True)[1] for _ in range(5)]
    assert found == [1, 1, 1, 0, 0]
    [report] = check_providers(["acme"], offline=True)
    [said] = [finding.text for finding in report.findings if finding.about == "consent"]
    assert said.startswith("3 answers in a row")
    assert "Nobody is asked for it until" in said
    row = ProviderKeySet.objects.get()
    ProviderKeySet.objects.update(asked_in_vain_at=row.asked_in_vain_at - REST)
    # Once more in vain, and it is left alone again. A refresh token ends that.
    assert [signed_in(upstream, client_, sub=next(people))[1] for _ in range(2)] == [1, 0]
    ProviderKeySet.objects.update(asked_in_vain_at=timezone.now() - REST)
    assert signed_in(upstream, client_, sub=next(people), omit_refresh_token=False)[1] == 1
    assert ProviderKeySet.objects.get().asked_in_vain == 0


# -- who is not asked -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "levers"),
    [
        ({"offline": "auto"}, {}),
        ({"offline": "never"}, {}),
        ({"offline_prompt": "always"}, {"omit_refresh_token": True}),
        ({"prompt_params": {"consent": {}}}, {}),
        ({}, {"expires_in": None}),
    ],
)
def test_nobody_is_asked_for_what_is_not_wanted_or_cannot_come(google, client_, config, levers):
    upstream, browser = google(**config), make_browser()
    answer = answered(upstream, browser, leave(browser, client_), **levers)
    assert answer.headers["Location"].startswith("/authorize/")
    assert PendingAuthorization.objects.get().asked_again_at is None


class Directory(OpenIDProvider):
    """A host's own, which knows its users by something else."""

    def complete(self, request, pending, private):
        return replace(super().complete(request, pending, private), user=get_user_model().objects.get())


def test_nobody_is_asked_whom_the_first_answer_alone_could_not_name(google, client_):
    """The first answer stands in for a second that does not come, and would make a second user of them."""
    user = get_user_model().objects.create_user("ada")
    upstream = google(**{"class": f"{__name__}.Directory"})
    row, times = signed_in(upstream, client_)
    assert (times, row.user_id) == (0, user.pk)


def test_nobody_is_asked_who_is_refused_anyway(google, client_):
    upstream = google()
    signed_in(upstream, client_)
    UpstreamGrant.objects.update(is_standing=False)
    get_user_model().objects.update(is_active=False)
    browser = make_browser()
    answer = answered(upstream, browser, leave(browser, client_))
    assert query_of(answer.headers["Location"])["error"] == "access_denied"


def test_nobody_is_asked_at_a_domain_of_strangers(sso, client_, lazyauth):
    lazyauth(UPSTREAM_SWAP={"paths": {"/tools/": "sso:acme.example"}})
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    leaving = submit(browser, page, provider="sso:", domain="acme.example")
    leaving = follow_waiting(browser, leaving)
    back = urlsplit(sso.authorize(leaving.headers["Location"], omit_refresh_token=True))
    answer = follow_waiting(browser, get(browser, f"{back.path}?{back.query}"))
    assert answer.status_code == 200
    assert PendingAuthorization.objects.get().asked_again_at is None


def test_a_flow_that_moved_on_in_another_tab_is_not_sent_away(google, client_):
    upstream, browser = google(), make_browser()
    first = urlsplit(upstream.authorize(leave(browser, client_).headers["Location"]))
    pending = PendingAuthorization.objects.get()
    page = get(browser, f"/authorize/{pending.pk}")
    second = submit(browser, page, provider="acme")
    assert get(browser, f"{first.path}?{first.query}").status_code == 400
    assert is_asked(upstream, answered(upstream, browser, second))


def test_a_later_leg_is_asked_too_and_keeps_its_person(upstream, client_, lazyauth, settings):
    lazyauth(
        PROVIDERS={"demo": settings.LAZYAUTH["PROVIDERS"]["demo"], "acme": upstream.config(**GOOGLE)},
        CHAINS=[{"client": client_.client_id, "providers": ["demo", "acme"]}],
    )
    upstream.control(consented=["person-1"])
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    leaving = page if page.status_code == 303 else submit(browser, page, provider="demo")
    state = query_of(leaving.headers["Location"])["state"]
    second = get(browser, f"/callback/demo?state={state}&code=ada")
    answer = answered(upstream, browser, second)
    assert is_asked(upstream, answer)
    row = redeemed(browser, client_, answered(upstream, browser, answer))
    assert (row.subject, bool(held(row).refresh_token)) == ("person-1", True)
    assert ProviderIdentity.objects.get().subject == "ada"
