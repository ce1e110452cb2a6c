"""One pushed request in the hands of many, in many processes: one gets a flow."""

from __future__ import annotations

import copy
import json
from collections import Counter
from contextlib import ExitStack
from functools import partial

import pytest

from django_lazyauth.models import PendingAuthorization
from tests.support.journey import come_back, form_of, get, make_browser, query_of, submit
from tests.support.processes import together
from tests.support.pushes import link, parameters, pushed
from tests.support.racers import racer
from tests.web.site import answer_to, is_choice_page, is_consent_page, make_user, signed_in

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

PROCESSES, BROWSERS = 4, 6


def page_of(client, request_uri, browser=None):
    """Show the page, and return what a process needs to press its button."""
    browser = browser or make_browser()
    page = get(browser, link(client.client_id, request_uri))
    assert is_choice_page(page) or is_consent_page(page)
    action, fields = form_of(page)
    return {name: morsel.value for name, morsel in browser.cookies.items()}, action, fields


def press_at_once(pages, **values):
    share = len(pages) // PROCESSES
    with ExitStack() as stack:
        racers = []
        for number in range(PROCESSES):
            own = pages[number * share :][:share]
            work = [(cookies, action, fields | values) for cookies, action, fields in own]
            racers.append(stack.enter_context(racer(work="press", pages=work)))
        for one in racers:
            one.go()
        return Counter(status for one in racers for status in one.result())


def test_what_one_process_pushed_another_one_opens(client_):
    """Spec 8.3: it survives a restart. Nothing is in memory or in the database, only keys in the settings."""
    with racer(work="post", posts=[["/par", parameters(client_)]]) as process:
        process.go()
        ((status, body),) = process.result()
    assert status == 201
    request_uri = json.loads(body)["request_uri"]
    pages = [page_of(client_, request_uri) for _ in range(PROCESSES)]
    assert press_at_once(pages, provider="demo") == {303: 1, 400: PROCESSES - 1}


@pytest.mark.slow
def test_of_people_who_choose_at_once_one_gets_a_flow(client_):
    """RFC 9126 §4, in processes of their own."""
    request_uri = pushed(client_)
    pages = [page_of(client_, request_uri) for _ in range(PROCESSES * BROWSERS)]
    assert press_at_once(pages, provider="demo") == {303: 1, 400: PROCESSES * BROWSERS - 1}
    assert PendingAuthorization.objects.count() == 1


@pytest.mark.slow
def test_of_people_who_decide_at_once_one_gets_an_answer(client_):
    request_uri, user = pushed(client_), make_user()
    pages = [page_of(client_, request_uri, signed_in(user)) for _ in range(PROCESSES * BROWSERS)]
    assert press_at_once(pages, decision="allow") == {303: 1, 400: PROCESSES * BROWSERS - 1}
    assert PendingAuthorization.objects.count() == 1


def test_of_people_who_come_back_at_once_one_goes_on(client_, lazyauth):
    """They were sent straight to the only provider. The statement that spends the state decides."""
    lazyauth(PROVIDERS={"demo": {"class": "tests.support.providers.BelievingProvider"}})
    request_uri, browsers = pushed(client_), [make_browser() for _ in range(BROWSERS)]
    away = [get(browser, link(client_.client_id, request_uri)) for browser in browsers]
    answers = together(
        *[
            partial(come_back, browser, redirect, subject=f"person-{number}")
            for number, (browser, redirect) in enumerate(zip(browsers, away, strict=True))
        ]
    )
    assert Counter(answer.status_code for answer in answers) == {303: 1, 400: BROWSERS - 1}
    assert PendingAuthorization.objects.filter(pushed_digest__isnull=False).count() == 1


def test_i23_a_link_that_is_followed_twice_at_once_gets_one_answer(client_):
    """A double click on the client's link, of somebody who is answered without a page."""
    browser = signed_in(make_user())
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    assert submit(browser, page, decision="allow").status_code == 303
    request_uri = pushed(client_)
    twins = [make_browser() for _ in range(4)]
    for twin in twins:
        twin.cookies = copy.deepcopy(browser.cookies)
    answers = together(*[partial(get, twin, link(client_.client_id, request_uri)) for twin in twins])
    assert len({answer_to(client_, answer)["code"] for answer in answers}) == 1
    assert query_of(answers[0].headers["Location"])["state"] == client_.state
