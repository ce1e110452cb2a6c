"""Spec 10, Overview: what an operator looks at first, and where each figure leads."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.urls import include, path
from django.utils import timezone

from django_lazyauth.models import DeliveryState, LogoutDelivery, PeriodicRun, ProviderKeySet, UpstreamGrant
from django_lazyauth.toolkit.models import get_application_model
from tests.support.journey import code_for, come_back, consent, make_browser, redeem, start

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

PAGE = "/admin/lazyauth/overview/"


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    return client


@pytest.fixture
def busy(client_):
    """One of each thing that has a figure."""
    redeem(client_, code_for(client_))
    start(make_browser(), client_)
    browser = make_browser()
    consent(browser, come_back(browser, start(browser, client_), subject="grace"), decision="deny")
    client = get_application_model().objects.get()
    LogoutDelivery.objects.create(
        session_id="0190a5e0-0000-7000-8000-000000000001",
        client=client,
        subject="1",
        state=DeliveryState.GIVEN_UP,
    )
    UpstreamGrant.objects.update(state="dead")
    ProviderKeySet.objects.update(failed_at=timezone.now(), failure="down: timeout", signed_in_at=None)
    call_command("sweep_lazyauth", verbosity=0)


def lines(page) -> dict[str, tuple[str, str, bool]]:
    """Return label → value, link, and whether it stands out."""
    found = {}
    for row in BeautifulSoup(page.content, "html.parser").select("tbody tr"):
        label, value = row.find("th"), row.find("td")
        if label is not None:
            link = label.find("a")
            found[label.get_text(strip=True)] = (
                value.get_text(" ", strip=True).removeprefix("⚠ "),
                link["href"] if link else "",
                value.find("strong") is not None,
            )
    return found


def test_each_figure_leads_to_the_rows_that_it_counts(operator, busy):
    page = operator.get(PAGE)
    found = lines(page)
    assert found["signed in"][0] == "1"
    assert found["failed"][0] == "1"
    assert found["the person did not allow the application"][0] == "1"
    assert found["under way, of those allowed at once"][0] == "1 / 10000"
    assert found["live sessions"][0] == "1"
    assert found["upstream grants: dead"] == ("1", "/admin/lazyauth/upstreamgrant/?state__exact=dead", True)
    assert found["logout deliveries: given up"][2]
    assert "down: timeout" in found["demo"][0]
    for label, (value, url, _is_bad) in found.items():
        if url and "?" in url and value.split(" ")[0] == "1":
            listed = BeautifulSoup(operator.get(url).content, "html.parser").select("#result_list tbody tr")
            assert len(listed) == 1, label
        elif url:
            assert operator.get(url).status_code == 200, label


def test_it_costs_the_same_however_much_there_is(operator, busy, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        operator.get(PAGE)


def test_a_periodic_task_that_does_not_run_stands_out(operator):
    assert lines(operator.get(PAGE))["sweep"] == ("never ran", "", True)
    call_command("sweep_lazyauth", verbosity=0)
    assert not lines(operator.get(PAGE))["sweep"][2]
    PeriodicRun.objects.update(started_at=timezone.now() - timedelta(hours=2))
    assert lines(operator.get(PAGE))["sweep"][2]


def test_a_task_that_fails_says_its_error(operator, monkeypatch):
    def fail(watch):
        raise RuntimeError("canary")

    monkeypatch.setattr("django_lazyauth.management.commands.deliver_logouts.deliver_due", fail)
    with pytest.raises(RuntimeError):
        call_command("deliver_logouts")
    text = lines(operator.get(PAGE))["deliver_logouts"][0]
    assert "RuntimeError" in text
    assert "canary" not in text


def test_a_check_that_fails_is_shown(operator, lazyauth):
    lazyauth(NOSUCH_SETTING=1)
    assert any(label.startswith("lazyauth.") for label in lines(operator.get(PAGE)))


def test_a_check_that_asks_the_database_is_shown_too(operator, lazyauth):
    lazyauth(ASSERTION_AUDIENCE_COMPAT=["nobody"])
    assert "lazyauth.E024" in lines(operator.get(PAGE))


def test_it_is_the_first_link_of_the_app_and_has_a_permission_of_its_own(client):
    user = get_user_model().objects.create_user("looker", is_staff=True)
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    user.user_permissions.add(
        *Permission.objects.filter(codename__in=["view_overview", "view_clientsession", "view_consent"])
    )
    assert client.get(PAGE).status_code == 200
    links = BeautifulSoup(client.get("/admin/").content, "html.parser").select(".app-lazyauth th a")
    assert links[0]["href"] == PAGE
