"""The database does what a callback asks, and its answer is lost: the person is led on (I9, I22)."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
from django.db import OperationalError, connection

from django_lazyauth.models import FlowAnswer, PendingAuthorization, Status
from tests.support.faults import Fault, injected
from tests.support.journey import (
    come_back,
    get,
    make_browser,
    query_of,
    redeem,
    start,
    submit,
)
from tests.web.site import RecordingProvider, is_choice_page, is_consent_page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def asked(settings):
    """Who asked the upstream, and with which code."""
    for provider in settings.LAZYAUTH["PROVIDERS"].values():
        provider["class"] = "tests.web.site.RecordingProvider"
    RecordingProvider.completed.clear()
    return RecordingProvider.completed


def spends_the_state(sql: str) -> bool:
    return sql.startswith("UPDATE") and "state_digest" in sql.partition("WHERE")[0]


@contextlib.contextmanager
def gone(*, for_good):
    """Lose the answer to the statement that spends the state, and fail the next one or all that come then."""
    asked = []

    def fail(execute, sql, params, many, context):
        if asked:
            asked.append(sql)
            if for_good or len(asked) == 2:
                raise OperationalError
        result = execute(sql, params, many, context)
        if spends_the_state(sql):
            asked.append(sql)
            raise OperationalError
        return result

    with connection.execute_wrapper(fail):
        yield
    assert asked


@pytest.fixture
def flow(client_):
    """A browser that the upstream has just sent back, and where to."""
    browser = make_browser()
    browser.raise_request_exception = False
    state = query_of(start(browser, client_).headers["Location"])["state"]
    return browser, f"/callback/demo?state={state}&code=ada"


def assert_leads_to_the_client(browser, answer, client):
    page = get(browser, answer.headers["Location"])
    assert is_consent_page(page)
    location = submit(browser, page, decision="allow").headers["Location"]
    assert redeem(client, query_of(location)["code"]).status_code == 200


@pytest.mark.parametrize("cuts", [False, True], ids=["error", "connection cut"])
def test_i22_a_callback_whose_state_was_spent_unacknowledged_goes_on(client_, flow, asked, cuts):
    browser, url = flow
    with injected(Fault(1, when="after", of=spends_the_state, cuts=cuts)) as fault:
        answer = get(browser, url)
    assert fault.fired
    assert_leads_to_the_client(browser, answer, client_)
    assert asked == [("demo", "ada")]


@pytest.mark.parametrize("cuts", [False, True], ids=["error", "connection cut"])
def test_a_callback_whose_state_was_not_spent_may_come_again(client_, flow, asked, cuts):
    browser, url = flow
    with injected(Fault(1, when="before", of=spends_the_state, cuts=cuts)):
        assert get(browser, url).status_code >= 500
    assert asked == []
    assert_leads_to_the_client(browser, get(browser, url), client_)


def test_i22_where_nobody_knows_the_callback_that_comes_again_leads_to_where_the_flow_stands(
    client_, flow, asked
):
    """The database is back at once. The person chooses the provider once more, and is not told that it is over."""
    browser, url = flow
    with gone(for_good=False):
        assert get(browser, url).status_code >= 500
    began = time.monotonic()
    answer = get(browser, url)
    assert time.monotonic() - began < 3, "nobody is waited for who has failed"
    assert_goes_on_to_the_choices(browser, answer, client_, asked)


@pytest.mark.slow
def test_i22_also_where_the_database_is_gone_for_a_while(client_, flow, asked):
    """The claim of the first callback stands. It counts as lost after ten seconds."""
    browser, url = flow
    with gone(for_good=True):
        assert get(browser, url).status_code >= 500
    assert_goes_on_to_the_choices(browser, get(browser, url), client_, asked)


def assert_goes_on_to_the_choices(browser, answer, client, asked):
    choices = get(browser, answer.headers["Location"])
    assert is_choice_page(choices)
    assert asked == []
    upstream = submit(browser, choices, provider="demo")
    state = query_of(upstream.headers["Location"])["state"]
    assert_leads_to_the_client(browser, get(browser, f"/callback/demo?state={state}&code=ada"), client)


def test_i9_a_state_that_another_callback_spent_is_not_taken_for_our_own(client_, flow):
    """I22: an unknown outcome is never treated as our success where it is somebody else's."""
    rows = PendingAuthorization.objects
    ours, theirs = rows.get(), rows.get()
    rows.consume_state(theirs)
    with injected(Fault(1, when="after", of=spends_the_state)), pytest.raises(OperationalError):
        rows.consume_state(ours)
    assert rows.get().status == Status.SENT_UPSTREAM


def test_a_form_whose_work_failed_for_an_outage_is_done_when_it_comes_again(client_, flow):
    browser, url = flow
    page = get(browser, get(browser, url).headers["Location"])
    issues_a_code = Fault(1, when="before", of=lambda sql: sql.startswith("UPDATE") and "code_digest" in sql)
    with injected(issues_a_code) as fault:
        assert submit(browser, page, decision="allow").status_code >= 500
    assert fault.fired
    assert FlowAnswer.objects.filter(answered_at__isnull=True).count() == 1
    answer = submit(browser, page, decision="allow")
    assert redeem(client_, query_of(answer.headers["Location"])["code"]).status_code == 200


# -- every COMMIT of a page ----------------------------------------------------------------------------------------


@pytest.fixture(params=["lazy", "immediate"])
def _each_mode(request, lazyauth):
    lazyauth(REGISTRATION=request.param)


def quiet_browser():
    browser = make_browser()
    browser.raise_request_exception = False
    return browser


@pytest.mark.slow
@pytest.mark.usefixtures("_each_mode")
def test_i22_whichever_commit_of_a_callback_is_not_acknowledged_the_person_gets_on(client_):
    """Where an answer was got at all, it leads on. Where none was, the same callback does."""
    for n in itertools.count(1):
        browser = quiet_browser()
        state = query_of(start(browser, client_).headers["Location"])["state"]
        url = f"/callback/demo?state={state}&code=ada"
        with injected(Fault(n, when="after_commit")) as fault:
            answer = get(browser, url)
        assert answer.status_code == 303 or answer.status_code >= 400, "a page that leads nowhere"
        if answer.status_code >= 400:
            answer = get(browser, url)
        lead_on(browser, answer, client_, n)
        if not fault.fired:
            break
    assert n > 2


def lead_on(browser, answer, client, n):
    """Follow to the client, by the choices where the sign-in began once more."""
    location = answer.headers["Location"]
    for _ in range(4):
        if location.startswith(client.redirect_uri):
            break
        page = get(browser, location)
        if is_choice_page(page):
            state = query_of(submit(browser, page, provider="demo").headers["Location"])["state"]
            page = get(browser, f"/callback/demo?state={state}&code=ada")
        elif is_consent_page(page):
            page = submit(browser, page, decision="allow")
        assert "Location" in page.headers, (n, location, page.status_code, page.content.decode()[-1500:])
        location = page.headers["Location"]
    assert redeem(client, query_of(location)["code"]).status_code == 200


@pytest.mark.slow
@pytest.mark.usefixtures("_each_mode")
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_i22_whichever_commit_of_a_decision_is_not_acknowledged_the_client_is_told(client_, decision):
    for n in itertools.count(1):
        browser = quiet_browser()
        page = get(
            browser, come_back(browser, start(browser, client_), subject=f"ada{n}").headers["Location"]
        )
        with injected(Fault(n, when="after_commit")) as fault:
            answer = submit(browser, page, decision=decision)
        if answer.status_code >= 400:
            answer = submit(browser, page, decision=decision)
        told = query_of(answer.headers["Location"])
        if decision == "allow":
            assert redeem(client_, told["code"]).status_code == 200
        else:
            assert told["error"] == "access_denied"
        if not fault.fired:
            break
    assert n > 2


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_i22_a_decision_whose_commit_is_not_acknowledged_is_answered_at_once(client_, flow, decision):
    """The code exists once, and nobody could ask for it again."""
    browser, url = flow
    page = get(browser, get(browser, url).headers["Location"])
    with injected(Fault(2, when="after_commit")) as fault:
        answer = submit(browser, page, decision=decision)
    assert fault.fired
    told = query_of(answer.headers["Location"])
    assert ("code" in told) is (decision == "allow")
    if decision == "allow":
        assert redeem(client_, told["code"]).status_code == 200
