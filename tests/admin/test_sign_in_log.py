"""Spec 10, Sign-ins: the log answers why somebody cannot sign in, and strangers push nobody's row out (I16)."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.urls import include, path
from django.utils import timezone

from django_lazyauth.authorize import quota
from django_lazyauth.clients import operator_actions
from django_lazyauth.models import (
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    Reason,
    Status,
)
from django_lazyauth.models.fields import uuid7
from django_lazyauth.sessions import person
from django_lazyauth.toolkit.models import get_application_model
from django_lazyauth.upkeep import sign_in_log
from django_lazyauth.upkeep.sweep import sweep
from tests.support.journey import (
    code_for,
    come_back,
    consent,
    get,
    make_browser,
    post_form,
    redeem,
    start,
    submit,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

LIST = "/admin/lazyauth/pendingauthorization/"
ADA = "ada@people.example"


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    return client


def cells(page, field) -> list[str]:
    found = BeautifulSoup(page.content, "html.parser").select(f"#result_list .field-{field}")
    return [cell.get_text(strip=True) for cell in found]


def reasons(operator, term="") -> list[str]:
    page = operator.get(LIST, {"q": term} if term else {})
    assert page.status_code == 200
    return cells(page, "why")


# -- why can Ada not sign in? --------------------------------------------------------------------------------


def test_the_overview_leads_to_the_person_and_from_there_to_the_end_of_their_sessions(operator, client_):
    """Spec 10: the question of 3 a.m. begins on the first page, and nothing is looked for twice."""
    issued = redeem(client_, code_for(client_)).json()
    form = BeautifulSoup(operator.get("/admin/lazyauth/overview/").content, "html.parser").find(role="search")
    found = operator.get(form["action"], {form.input["name"]: ADA})
    assert cells(found, "outcome") == ["signed in"]
    row = PendingAuthorization.objects.get()
    page = operator.get(f"{LIST}{row.pk}/change/")
    links = BeautifulSoup(page.content, "html.parser").select(".object-tools a")
    [end] = [link["href"] for link in links if link["href"].endswith("/end_all_sessions/")]
    assert "1 session lives now" in operator.get(end).content.decode()
    operator.post(end, {"confirmed": "1", "reason": "ticket 7"})
    refresh = {
        "grant_type": "refresh_token",
        "refresh_token": issued["refresh_token"],
        "client_id": client_.client_id,
    }
    assert post_form(make_browser(), "/token", refresh).json()["error"] == "invalid_grant"


def test_who_may_not_read_the_log_is_offered_no_search_in_it(client):
    staff = get_user_model().objects.create_user("staff", password="pw", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_overview"))
    client.force_login(staff)
    page = client.get("/admin/lazyauth/overview/")
    assert page.status_code == 200
    assert BeautifulSoup(page.content, "html.parser").find(role="search") is None


def at_acme(site, **levers):
    """Go to the upstream as Ada, and come back with what it says."""
    browser = make_browser()
    redirect = start(browser, site.client, provider="acme", login_hint=ADA)
    assert redirect.status_code in (303, 200)
    if redirect.status_code == 303:
        url = site.upstream.authorize(redirect.headers["Location"], sub="ada", **levers)
        get(browser, url.replace("https://auth.example", ""))


def cancelled(site):
    at_acme(site, authorize_error="access_denied")


def clock(site):
    at_acme(site, claims={"iat": int(time.time()) + 600})


def wrong_secret(site):
    answer = {"status": 401, "body": json.dumps({"error": "invalid_client"})}
    at_acme(site, token_answers=[answer, answer])


def not_allowed(site):
    site.configure(allow={"hd": ["corp.example"]})
    at_acme(site, claims={"hd": "else.example", "email": ADA})


def client_disabled(site):
    operator_actions.disable([get_application_model().objects.get(client_id=site.client.client_id).pk])
    answer = get(make_browser(), f"/authorize?{site.client.authorize_query()}")
    assert answer.status_code == 400


def deactivated(site):
    redeem(site.client, code_for(site.client))
    get_user_model().objects.filter(email=ADA).update(is_active=False)
    browser = make_browser()
    come_back(browser, start(browser, site.client), subject="ada")


def duplicate(site):
    """The host's resolver makes two people of one address impossible."""
    site.lazyauth(USER_RESOLVER="tests.admin.one_address.OneAddress")
    get_user_model().objects.create_user("ada", ADA)
    code = code_for(site.client)
    assert redeem(site.client, code).json()["error"] == "invalid_grant"


def down(site):
    at_acme(site, token_answers=[500, 500])


def keys_overdue(site):
    at_acme(site)
    long_ago = timezone.now() - timedelta(hours=25)
    ProviderKeySet.objects.update(fetched_at=long_ago, fresh_until=long_ago, next_refresh_at=long_ago)
    site.upstream.control(down=True)
    browser = make_browser()
    start(browser, site.client, provider="acme", login_hint=ADA)


def rate_limit(site):
    site.lazyauth(MAX_PENDING_PER_NETWORK=1)
    start(make_browser(), site.client)
    page = get(make_browser(), f"/authorize?{site.client.authorize_query(login_hint=ADA)}")
    assert submit(make_browser_of(page), page, provider="demo").status_code == 503


def make_browser_of(page):
    """Return the browser that has the cookies of *page*."""
    browser = make_browser()
    browser.cookies.update(page.cookies)
    return browser


@pytest.fixture
def site(client_, upstream, lazyauth):
    class Site:
        client = client_

        def configure(self, **changes):
            from django.conf import settings

            lazyauth(PROVIDERS={**settings.LAZYAUTH["PROVIDERS"], "acme": upstream.config(**changes)})

    found = Site()
    found.upstream, found.lazyauth = upstream, lazyauth
    return found


CAUSES = {
    "cancelled": cancelled,
    "clock": clock,
    "wrong_secret": wrong_secret,
    "not_allowed": not_allowed,
    "client_disabled": client_disabled,
    "deactivated": deactivated,
    "duplicate": duplicate,
    "down": down,
    "keys_overdue": keys_overdue,
    "rate_limit": rate_limit,
}
#: Nobody knows who is in front of a client that is refused.
NAMELESS = {"client_disabled"}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_log_says_why_ada_cannot_sign_in(operator, site, cause):
    """Issue 15, done when 6."""
    CAUSES[cause](site)
    row = PendingAuthorization.objects.filter(reason=cause).get()
    page = operator.get(f"{LIST}{row.pk}/change/")
    assert str(Reason(cause).label) in page.content.decode()
    if row.status == Status.FAILED:
        assert str(Reason(cause).label) in reasons(operator)
        assert cells(operator.get(f"{LIST}?reason={cause}"), "why") == [str(Reason(cause).label)]
    if cause not in NAMELESS:
        found = operator.get(LIST, {"q": ADA}).content.decode()
        assert str(row.pk) in found


# -- what stays, and how much -------------------------------------------------------------------------------


def ended(number, **fields):
    """Write rows of flows that failed and wait for the sweep."""
    client = get_application_model().objects.get()
    past = timezone.now() - timedelta(minutes=1)
    rows = [
        PendingAuthorization(
            session_id=uuid7(),
            client=client,
            status=Status.FAILED,
            code_challenge="x",
            network=f"10.0.{index % 200}.0/24",
            expires_at=past,
            **fields,
        )
        for index in range(number)
    ]
    PendingAuthorization.objects.bulk_create(rows)
    return rows


@pytest.fixture
def small_shelves(monkeypatch):
    monkeypatch.setattr(sign_in_log, "SIZE", 10)
    monkeypatch.setattr(sign_in_log, "OF_ONE_PERSON", 3)


def swept(**after):
    list(sweep(now=timezone.now() + timedelta(**after)))


def test_an_abandoned_sign_in_stays_for_a_week_and_holds_nothing(client_):
    """I4: what was deferred goes at once."""
    code_for(client_)
    swept(minutes=16)
    row = PendingAuthorization.objects.get()
    assert (row.status, row.reason, row.private) == (Status.FAILED, Reason.NOT_FINISHED, "")
    assert not hasattr(row, "deferred")
    swept(days=7)
    assert PendingAuthorization.objects.exists()
    swept(days=7, minutes=17)
    assert not PendingAuthorization.objects.exists()


def test_no_retention_keeps_none(client_, lazyauth):
    lazyauth(SIGN_IN_LOG_RETENTION=0)
    code_for(client_)
    swept(minutes=16)
    assert not PendingAuthorization.objects.exists()


def test_the_log_counts_against_no_quota(client_, lazyauth):
    """I16: it has a bound of its own."""
    lazyauth(MAX_PENDING_PER_NETWORK=1)
    start(make_browser(), client_)
    swept(minutes=16)
    assert PendingAuthorization.objects.counted().count() == 0
    assert start(make_browser(), client_).status_code in (200, 303)


def test_strangers_fill_their_own_shelf_only(client_, small_shelves):
    """I16: the newest of strangers stay, and people's rows all do."""
    user = get_user_model().objects.create_user("ada", ADA)
    known = {row.pk for row in ended(2, user=user)} | {
        row.pk for row in ended(1, said_subject="s", provider="demo")
    }
    strangers = [row.pk for row in ended(25)]
    swept(seconds=1)
    left = set(PendingAuthorization.objects.values_list("pk", flat=True))
    assert known <= left
    assert len(left - known) == 10
    more = [row.pk for row in ended(4)]
    swept(seconds=2)
    left = set(PendingAuthorization.objects.values_list("pk", flat=True))
    assert known | set(more) <= left
    assert len(left) == 13
    assert len(left & set(strangers)) == 6


def test_one_person_fills_a_part_of_a_shelf_only(client_, small_shelves):
    grace = get_user_model().objects.create_user("grace")
    of_grace = {row.pk for row in ended(1, user=grace)}
    ended(30, said_subject="eve", provider="demo")
    swept(seconds=1)
    left = set(PendingAuthorization.objects.values_list("pk", flat=True))
    assert of_grace <= left
    assert len(left) == 4


def test_a_used_up_quota_pushes_out_rows_of_strangers_only(client_, lazyauth):
    """I16: who floods a network does not empty the log of its people."""
    lazyauth(MAX_PENDING_AUTHORIZATIONS=5)
    user = get_user_model().objects.create_user("ada", ADA)
    [of_ada] = ended(1, user=user)
    strangers = {row.pk for row in ended(5)}
    quota.require_quota("10.0.0.0/24")
    left = set(PendingAuthorization.objects.values_list("pk", flat=True))
    assert of_ada.pk in left
    assert not strangers & left
    assert PendingAuthorization.objects.counted().count() == 0


def test_refusals_of_a_disabled_client_have_one_row(site):
    """I16: a request that is refused costs a row once a minute at most, and no further one for the same."""
    client_disabled(site)
    for _ in range(3):
        get(make_browser(), f"/authorize?{site.client.authorize_query()}")
    cache.clear()
    get(make_browser(), f"/authorize?{site.client.authorize_query()}")
    row = PendingAuthorization.objects.get()
    assert row.failed_attempts == 2
    assert PendingAuthorization.objects.counted().count() == 0


@pytest.mark.parametrize("headers", [{"sec-purpose": "prefetch"}, {"purpose": "prefetch"}])
def test_a_prefetch_of_a_refused_request_writes_nothing(site, headers):
    """I23."""
    operator_actions.disable([get_application_model().objects.get().pk])
    get(make_browser(), f"/authorize?{site.client.authorize_query()}", headers=headers)
    assert not PendingAuthorization.objects.exists()


def test_an_ended_session_stays_for_a_week(client_):
    code = code_for(client_)
    redeem(client_, code)
    from django_lazyauth.sessions import end

    end.end_session(PendingAuthorization.objects.get().pk)
    swept(hours=25)
    assert PendingAuthorization.objects.get().status == Status.EXCHANGED
    # A replay is still recognised.
    assert redeem(client_, code).status_code == 400
    swept(days=9)
    assert not PendingAuthorization.objects.exists()


# -- looking for people -------------------------------------------------------------------------------------


def test_a_closed_domain_is_named(operator, client_, lazyauth):
    lazyauth(SSO_ALLOWED_DOMAINS=["corp.example"])
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    submit(browser, page, provider="sso:", domain=ADA)
    assert reasons(operator, ADA) == [str(Reason.DOMAIN_NOT_ALLOWED.label)]


def test_a_wrong_password_is_named(operator, client_, lazyauth):
    lazyauth(PROVIDERS={"local": {"type": "password"}})
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    page = get(browser, submit(browser, page, provider="local").headers["Location"])
    submit(browser, page, action="sign_in", email="Grace@people.example", password="wrong")
    assert reasons(operator, "grace@people.example") == [str(Reason.WRONG_PASSWORD.label)]


@pytest.mark.parametrize(("language", "state"), [("en", "failed"), ("de", "gescheitert")])
def test_the_page_of_a_sign_in_names_its_state_in_the_language_of_the_page(
    operator, client_, language, state
):
    browser = make_browser()
    consent(browser, come_back(browser, start(browser, client_), subject="grace"), decision="deny")
    row = PendingAuthorization.objects.get()
    page = operator.get(f"{LIST}{row.pk}/change/", headers={"accept-language": language})
    assert f"{row.pk} ({state})" in page.content.decode()


@pytest.mark.parametrize("term", ["username", "email", "subject", "key"])
def test_a_person_is_found_by_whatever_names_them(operator, client_, term):
    redeem(client_, code_for(client_))
    code_for(client_, subject="grace")
    user = get_user_model().objects.get(email=ADA)
    terms = {"username": user.username, "email": ADA.title(), "subject": "ada", "key": str(user.pk)}
    assert cells(operator.get(LIST, {"q": terms[term]}), "outcome") == ["signed in"]


def test_a_site_without_accounts_at_providers_finds_its_users_by_address(operator, client_):
    redeem(client_, code_for(client_))
    ProviderIdentity.objects.all().delete()
    assert cells(operator.get(LIST, {"q": ADA}), "outcome") == ["signed in"]


def test_filters_tell_the_outcomes_apart(operator, client_):
    redeem(client_, code_for(client_))
    start(make_browser(), client_)
    browser = make_browser()
    consent(browser, come_back(browser, start(browser, client_), subject="grace"), decision="deny")
    for outcome, words in {"signed_in": "signed in", "under_way": "under way", "failed": "failed"}.items():
        assert cells(operator.get(f"{LIST}?outcome={outcome}"), "outcome") == [words]
    assert cells(operator.get(f"{LIST}?provider__exact=demo"), "outcome") == ["failed", "signed in"]
    assert reasons(operator, "")[0] == str(Reason.DENIED.label)


def test_the_log_of_an_erased_person_goes_too(operator, site):
    """What a provider said of them stands in rows that name no user."""
    deactivated(site)
    assert PendingAuthorization.objects.filter(said_email=ADA).exists()
    person.erase_person(get_user_model().objects.get(email=ADA))
    assert not PendingAuthorization.objects.exists()


def test_no_page_shows_what_a_failure_must_not(operator, site):
    """I13: words of ours and the code of the upstream's error; nothing else of its answer."""
    body = json.dumps({"error": "invalid_client", "error_description": "<b>said-by-upstream"})
    at_acme(site, token_answers=[{"status": 401, "body": body}] * 2)
    row = PendingAuthorization.objects.get()
    text = operator.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "invalid_client" in text
    assert "said-by-upstream" not in text
    assert row.code_challenge not in text
