"""Spec 8.10: operators see the devices that wait, never their codes, and may end them."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.urls import include, path, reverse

from django_lazyauth.models import DeviceAuthorization, DeviceStatus, PendingAuthorization, Status
from tests.support.devices import answer, claim, codes, connect, poll
from tests.support.journey import make_browser

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("television"), pytest.mark.urls(__name__)]
urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

LIST = "admin:lazyauth_deviceauthorization_changelist"


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("root", "root@example.org", "x"))
    return client


def test_the_list_shows_live_devices_without_their_codes(operator):
    waiting, gone = codes(), codes()
    answer(make_browser(), gone)
    poll(gone)
    page = operator.get(reverse(LIST), secure=True).content.decode()
    assert page.count('class="action-select"') == 1
    row = DeviceAuthorization.objects.get(status=DeviceStatus.WAITING)
    detail = operator.get(
        reverse("admin:lazyauth_deviceauthorization_change", args=[row.pk]), secure=True
    ).content.decode()
    for text in (page, detail):
        assert "203.0.113.0/24" in text
        for secret in (waiting["user_code"], waiting["device_code"], row.device_digest, row.user_digest):
            assert secret not in text


@pytest.mark.parametrize("state", ["waiting", "claimed", "approved"])
def test_ending_a_device_ends_what_it_waits_for(operator, state):
    """I21."""
    asked, browser = codes(), make_browser()
    if state == "claimed":
        claim(browser, asked)
    elif state == "approved":
        answer(browser, asked)
    row = DeviceAuthorization.objects.get()
    assert row.status == state
    data = {"action": "end_devices", "_selected_action": [row.pk]}
    asked_first = operator.post(reverse(LIST), data, secure=True)
    assert asked_first.status_code == 200
    assert DeviceAuthorization.objects.get().status == state
    data |= {"confirmed": "yes", "reason": "stolen"}
    assert operator.post(reverse(LIST), data, secure=True).status_code == 302
    assert LogEntry.objects.get().change_message == "Ended. stolen"
    assert poll(asked).json()["error"] == "invalid_grant"
    assert DeviceAuthorization.objects.get().status == DeviceStatus.ENDED
    assert not PendingAuthorization.objects.exclude(status=Status.FAILED).exists()


def test_a_device_is_ended_on_its_page_and_the_list_follows(operator):
    """Spec 10, Acts: on list and page alike. What ended has no page any more."""
    codes()
    row = DeviceAuthorization.objects.get()
    page = operator.get(reverse("admin:lazyauth_deviceauthorization_change", args=[row.pk]), secure=True)
    url = reverse("admin:lazyauth_deviceauthorization_act", args=[row.pk, "end_devices"])
    assert url in page.content.decode()
    done = operator.post(url, {"confirmed": "yes"}, secure=True, follow=True)
    assert done.redirect_chain[-1][0] == reverse(LIST)
    text = done.content.decode()
    assert "1 device was ended." in text
    assert "exist" not in text


def test_sessions_are_listed_by_grant(operator):
    """Spec 8.10."""
    connect()
    url = reverse("admin:lazyauth_clientsession_changelist")
    assert "device code" in operator.get(url, secure=True).content.decode()
    for grant, count in (("device", 1), ("code", 0)):
        page = operator.get(url, {"grant__exact": grant}, secure=True).content.decode()
        assert page.count('class="action-select"') == count
