"""A double click, a second tab and an impatient browser: each step of a flow is taken once."""

from __future__ import annotations

import copy
from functools import partial

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.models import Consent, DeferredRegistration, PendingAuthorization, Status
from tests.races.rows import each, rows
from tests.support.journey import (
    come_back,
    form_of,
    get,
    make_browser,
    post,
    query_of,
    redeem,
    start,
)
from tests.support.processes import together

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

CLICKS = 8


def same_browser(browser):
    """Return a second connection of the same browser: the same cookies."""
    twin = make_browser()
    twin.cookies = copy.deepcopy(browser.cookies)
    return twin


def post_at_once(browser, page, **values):
    action, fields = form_of(page)
    return together(
        *[partial(post, same_browser(browser), action, fields | values) for _ in range(CLICKS)],
    )


def the_one_answer(answers):
    """I23: of all clicks one did the work, and each of them got its answer."""
    assert [answer.status_code for answer in answers] == [303] * len(answers)
    assert len({answer.headers["Location"] for answer in answers}) == 1
    return answers[0]


def the_one_that_won(answers):
    assert sorted(answer.status_code for answer in answers) == [303] + [400] * (len(answers) - 1)
    return next(answer for answer in answers if answer.status_code == 303)


def consent_page(browser, client, **changes):
    answer = come_back(browser, start(browser, client, **changes), subject="ada")
    return get(browser, answer.headers["Location"])


def test_clicks_on_allow_issue_one_code(client_):
    """I8: one consent, one code."""
    browser = make_browser()
    won = the_one_answer(post_at_once(browser, consent_page(browser, client_), decision="allow"))
    code = query_of(won.headers["Location"])["code"]
    assert PendingAuthorization.objects.get().status == Status.CODE_ISSUED
    assert redeem(client_, code).status_code == 200
    assert rows() == each(1)


def test_clicks_on_allow_of_somebody_signed_in_issue_one_code(client_):
    """I8: the row is written by the same clicks."""
    browser = make_browser()
    browser.force_login(get_user_model().objects.create(username="ada"))
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    won = the_one_answer(post_at_once(browser, page, decision="allow"))
    assert PendingAuthorization.objects.count() == 1
    assert Consent.objects.count() == 1
    assert redeem(client_, query_of(won.headers["Location"])["code"]).status_code == 200


def test_allow_and_deny_at_once_never_leave_a_code_beside_a_denial(client_):
    """Whatever order they come in, a denial that was answered leaves no code that works."""
    for _ in range(5):
        browser = make_browser()
        action, fields = form_of(consent_page(browser, client_))
        clicks = ["allow", "deny"] * 2
        answers = together(
            *[partial(post, same_browser(browser), action, fields | {"decision": click}) for click in clicks]
        )
        assert {answer.status_code for answer in answers} <= {303, 400}
        told = [query_of(answer.headers["Location"]) for answer in answers if answer.status_code == 303]
        codes = [query["code"] for query in told if "code" in query]
        assert len(set(codes)) <= 1
        if any(query.get("error") == "access_denied" for query in told):
            assert all(redeem(client_, code).status_code == 400 for code in codes)
            assert not DeferredRegistration.objects.exists()
        assert not get_user_model().objects.exists()
        PendingAuthorization.objects.all().delete()


def test_clicks_on_a_provider_make_one_row_and_lead_to_one_state(client_):
    """I9, I23: whichever answer the browser shows, its state is the one that is good."""
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    upstream = the_one_answer(post_at_once(browser, page, provider="demo"))
    pending = PendingAuthorization.objects.get()
    assert (pending.status, pending.provider) == (Status.SENT_UPSTREAM, "demo")
    assert come_back(same_browser(browser), upstream, subject="ada").status_code == 303


def test_i16_flows_begun_at_the_same_moment_never_exceed_the_cap(client_, lazyauth):
    """I16: each of them saw the last free place."""
    lazyauth(MAX_PENDING_PER_NETWORK=4)
    doors = []
    for _ in range(16):
        browser = make_browser()
        doors.append((browser, form_of(get(browser, f"/authorize?{client_.authorize_query()}"))))
    clicks = [
        partial(post, browser, action, fields | {"provider": "demo"}) for browser, (action, fields) in doors
    ]
    answers = together(*clicks)
    assert {answer.status_code for answer in answers} <= {303, 503}
    # Beside them stands what was refused when all places were taken.
    assert PendingAuthorization.objects.counted().count() <= 4


@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_i9_of_callbacks_with_one_state_one_goes_on(client_, lazyauth, mode):
    """I9, RFC 6749 §10.12."""
    lazyauth(REGISTRATION=mode)
    browser = make_browser()
    upstream = start(browser, client_)
    answers = together(
        *[partial(come_back, same_browser(browser), upstream, subject="ada") for _ in range(CLICKS)]
    )
    won = the_one_answer(answers)
    pending = PendingAuthorization.objects.get()
    assert won.headers["Location"] == f"/authorize/{pending.pk}"
    assert (pending.status, pending.state_digest) == (Status.AUTHENTICATED, None)
    assert rows()["users"] == (0 if mode == "lazy" else 1)


def test_i9_callbacks_of_two_people_with_one_state_let_one_of_them_in(client_):
    """I9: nobody is signed in as a mixture of two."""
    for _ in range(5):
        browser = make_browser()
        upstream = start(browser, client_)
        people = ["ada", "bob"] * 2
        answers = together(
            *[partial(come_back, same_browser(browser), upstream, subject=person) for person in people]
        )
        winners = {
            person for person, answer in zip(people, answers, strict=True) if answer.status_code == 303
        }
        assert winners == {DeferredRegistration.objects.get().subject}
        assert {answer.status_code for answer in answers} == {303, 400}
        PendingAuthorization.objects.all().delete()


def test_visits_of_a_browser_whose_registration_was_finished_sign_it_in_once(client_):
    """Spec 1: the binding signs the browser in after the exchange, once."""
    browser = make_browser()
    won = post_at_once(browser, consent_page(browser, client_), decision="allow")
    location = the_one_answer(won).headers["Location"]
    assert redeem(client_, query_of(location)["code"]).status_code == 200
    visits = [same_browser(browser) for _ in range(CLICKS)]
    visit = f"/authorize?{client_.authorize_query()}"
    answers = together(*[partial(get, twin, visit) for twin in visits])
    assert all(answer.status_code < 500 for answer in answers)
    assert sum("sessionid" in twin.cookies for twin in visits) == 1
