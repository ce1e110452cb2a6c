"""Spec 10, Acts: on list and page alike, each with its own permission, a confirmation and an entry in the history."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import include, path
from django.utils import timezone

from django_lazyauth.admin import base
from django_lazyauth.models import DeliveryState, EndingJob, LogoutDelivery, ProviderKeySet, UpstreamToken
from django_lazyauth.sessions import ending_job, many
from django_lazyauth.toolkit.models import get_access_token_model, get_application_model
from tests.sessions.conftest import ada, maps, signed_in_at, trail, wants_to_hear

__all__ = ["ada", "maps", "trail"]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

OURS, DOT = "/admin/lazyauth", "/admin/oauth2_provider"


def staff(client, *permissions):
    user = get_user_model().objects.create_user(f"staff-{len(permissions)}", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__startswith="view_"))
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


@pytest.fixture
def rows(ada, maps):
    """A row for each act, by the name of the act: where its list is, its key and its permission."""
    wants_to_hear(ada.client, "https://client.example/out")
    client = get_application_model().objects.get(client_id=ada.client.client_id)
    delivery = LogoutDelivery.objects.create(
        session_id="0190a5e0-0000-7000-8000-000000000001",
        client=client,
        subject="1",
        state=DeliveryState.GIVEN_UP,
        attempts=10,
    )
    provider, _ = ProviderKeySet.objects.get_or_create(
        provider="demo", defaults={"issuer": "https://op.example"}
    )
    token = get_access_token_model().objects.get(application=client)
    return {
        "end_sessions": (f"{OURS}/clientsession/", ada.sid, "end_clientsession"),
        "end_all_sessions": (f"{OURS}/clientsession/", ada.sid, "end_all_clientsession"),
        "end_all_of_client": (f"{OURS}/clientsession/", ada.sid, "end_all_clientsession"),
        "end_all_of_provider": (f"{OURS}/clientsession/", ada.sid, "end_all_clientsession"),
        "revoke_tokens": (f"{DOT}/accesstoken/", token.pk, "end_clientsession"),
        "retry": (f"{OURS}/logoutdelivery/", delivery.pk, "retry_logoutdelivery"),
        "try": (f"{OURS}/providerkeyset/", provider.pk, "test_providerkeyset"),
        "verify": (f"{DOT}/application/", client.pk, "verify_client"),
        "withdraw_verification": (f"{DOT}/application/", client.pk, "verify_client"),
        "disable": (f"{DOT}/application/", client.pk, "disable_client"),
        "enable": (f"{DOT}/application/", client.pk, "disable_client"),
        "end_all_at": (f"{DOT}/application/", client.pk, "end_all_clientsession"),
    }


ACTS = [
    "end_sessions",
    "end_all_sessions",
    "end_all_of_client",
    "end_all_of_provider",
    "revoke_tokens",
    "retry",
    "try",
    "verify",
    "withdraw_verification",
    "disable",
    "enable",
    "end_all_at",
]


def ask(browser, where, act, key, place, **form):
    if place == "list":
        return browser.post(where, {"action": act, "_selected_action": [str(key)], **form})
    url = f"{where}{key}/act/{act}/"
    return browser.post(url, form) if form else browser.get(url)


@pytest.mark.parametrize("place", ["list", "page"])
@pytest.mark.parametrize("act", ACTS)
def test_an_act_asks_and_leaves_an_entry(client, rows, act, place):
    where, key, permission = rows[act]
    browser = staff(client, permission)
    asked = ask(browser, where, act, key, place)
    assert asked.status_code == 200
    assert BeautifulSoup(asked.content, "html.parser").find("input", {"name": "reason"}) is not None
    assert not LogEntry.objects.exists()
    done = ask(browser, where, act, key, place, confirmed="yes", reason="they asked <b>us")
    assert done.status_code == (200 if act == "try" else 302), done.content
    entry = LogEntry.objects.get()
    assert entry.object_id == str(key)
    assert entry.change_message.endswith("they asked <b>us")
    assert entry.user.username.startswith("staff")


@pytest.mark.parametrize("act", ACTS)
def test_who_may_only_look_sees_no_button_and_does_nothing(client, rows, ada, act):
    where, key, _permission = rows[act]
    looker = staff(client)
    listing = BeautifulSoup(looker.get(where).content, "html.parser")
    assert listing.find("option", {"value": act}) is None
    page = looker.get(f"{where}{key}/change/")
    assert page.status_code == 200
    assert f"/act/{act}/" not in page.content.decode()
    assert ask(looker, where, act, key, "page").status_code == 403
    assert ask(looker, where, act, key, "page", confirmed="yes").status_code == 403
    ask(looker, where, act, key, "list", confirmed="yes")
    assert not LogEntry.objects.exists()
    assert ada.is_alive()


@pytest.mark.parametrize("act", ["end_all_sessions", "end_all_of_client", "end_all_of_provider"])
def test_all_sessions_of_a_person_a_client_or_a_provider_end(client, rows, ada, maps, act):
    of_ada, of_grace = signed_in_at(maps), signed_in_at(ada.client, subject="grace")
    where, key, permission = rows[act]
    ask(staff(client, permission), where, act, key, "page", confirmed="yes")
    alive = {"of_ada": of_ada.is_alive(), "of_grace": of_grace.is_alive()}
    assert not ada.is_alive()
    expected = {
        "end_all_sessions": {"of_ada": False, "of_grace": True},
        "end_all_of_client": {"of_ada": True, "of_grace": False},
        "end_all_of_provider": {"of_ada": False, "of_grace": False},
    }
    assert alive == expected[act]
    job = EndingJob.objects.get()
    assert job.ended == job.found == (3 if act == "end_all_of_provider" else 2)
    assert job.finished_at is not None
    # The client that wants to hear of it hears of each.
    told = LogoutDelivery.objects.filter(client__client_id=ada.client.client_id).exclude(attempts=10)
    assert told.count() == (1 if act == "end_all_sessions" else 2)


def test_a_confirmation_says_where_it_counted_in_part(client, ada, monkeypatch):
    """Spec 10: it counts what ends, and claims nothing that it did not count."""
    monkeypatch.setattr(base, "COUNTED", 1)
    browser = staff(client, "end_all_clientsession")
    where, key = f"{DOT}/application/", get_application_model().objects.get(client_id=ada.client.client_id).pk
    other = get_application_model().objects.exclude(pk=key).first() or get_application_model().objects.create(
        name="Other", client_type="public", authorization_grant_type="authorization-code"
    )
    form = {"action": "end_all_at", "_selected_action": [str(key)]}
    assert "1 session lives now" in browser.post(where, form).content.decode()
    form["_selected_action"].append(str(other.pk))
    assert "At least " in browser.post(where, form).content.decode()


def test_what_ends_at_once_leaves_nothing(ada, maps):
    """I21: as the end of one session does it."""
    other = signed_in_at(maps, subject="grace")
    assert many.end_many([ada.sid, other.sid]) == 2
    assert not ada.is_alive()
    assert not other.is_alive()
    assert not UpstreamToken.objects.exists()
    assert not get_access_token_model().objects.exists()
    assert many.end_many([ada.sid]) == 0


def test_a_host_that_listens_to_deletions_is_told_of_each(ada):
    from django.db.models.signals import post_delete

    told = []
    post_delete.connect(
        listener := lambda instance, **kwargs: told.append(instance.pk), get_access_token_model()
    )
    try:
        assert many.end_many([ada.sid]) == 1
    finally:
        post_delete.disconnect(listener, get_access_token_model())
    assert len(told) == 1
    assert not ada.is_alive()


def test_a_job_goes_on_where_its_process_ended(client, ada, maps, monkeypatch):
    """The next sweep finishes what a killed process left."""
    monkeypatch.setattr(ending_job, "AT_ONCE", 0)
    monkeypatch.setattr(ending_job, "_submit", lambda pk: None)
    other = signed_in_at(maps)
    user = get_user_model().objects.get(email="ada@people.example")
    job = ending_job.start(ending_job.Target("person", str(user.pk), str(user)), user=None)
    assert ada.is_alive()
    assert EndingJob.objects.claim(job.pk, "a-process-that-died")
    assert ending_job.run_unfinished() == 0
    EndingJob.objects.update(claimed_until=timezone.now() - timezone.timedelta(seconds=1))
    page = staff(client).get(f"{OURS}/endingjob/{job.pk}/change/")
    assert page.headers["Refresh"] == "3"
    assert "<progress" in page.content.decode()
    assert ending_job.run_unfinished() == 1
    assert not ada.is_alive()
    assert not other.is_alive()
    page = staff(client, "view_endingjob").get(f"{OURS}/endingjob/{job.pk}/change/")
    assert "Refresh" not in page.headers


def test_a_delivery_that_was_given_up_begins_anew(client, rows):
    where, key, permission = rows["retry"]
    ask(staff(client, permission), where, "retry", key, "list", confirmed="yes")
    row = LogoutDelivery.objects.get(pk=key)
    assert (row.state, row.attempts) == (DeliveryState.WAITING, 0)
