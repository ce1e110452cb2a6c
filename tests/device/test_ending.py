"""I21: what ends ends the codes of devices too, by whichever door."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from oauth2_provider.models import AccessToken, RefreshToken, get_application_model

from django_lazyauth.clients.operator_actions import disable, enable
from django_lazyauth.models import DeviceAuthorization, PendingAuthorization, ProviderIdentity
from django_lazyauth.sessions import end
from tests.support.devices import answer, claim, codes, connect, enter, poll
from tests.support.journey import get, make_browser, submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("television")]

User = get_user_model()


@pytest.fixture
def approved():
    """A device that a known person allowed, before it came for its tokens."""
    browser = make_browser()
    connect(browser=browser)
    asked = codes()
    page = claim(browser, asked)
    page = get(browser, submit(browser, page, account="current").headers["Location"])
    submit(browser, page, decision="allow")
    return asked


def refused(asked) -> str:
    answered = poll(asked)
    assert answered.status_code == 400, answered.content
    return str(answered.json()["error"])


def alive() -> int:
    return RefreshToken.objects.filter(revoked__isnull=True).count()


def test_a_person_who_ends_everything_ends_the_device_that_waits_for_its_tokens(approved):
    end.end_all_sessions(User.objects.get())
    assert refused(approved) == "invalid_grant"
    assert alive() == 0


def test_a_person_who_is_deactivated_gets_no_tokens(approved):
    User.objects.update(is_active=False)
    assert refused(approved) == "invalid_grant"


def test_a_person_who_is_deleted_takes_their_devices_along(approved):
    User.objects.get().delete()
    assert refused(approved) == "invalid_grant"
    assert not AccessToken.objects.exists()
    assert not PendingAuthorization.objects.filter(status="code_issued").exists()


def test_a_provider_that_is_gone_signs_nobody_in(lazyauth):
    asked = codes()
    answer(make_browser(), asked)
    lazyauth(PROVIDERS={"other": {"class": "tests.support.providers.BelievingProvider"}})
    assert refused(asked) == "invalid_grant"
    assert not User.objects.exists()


def test_an_identity_that_is_disconnected_ends_its_device(approved):
    end.end_identity(ProviderIdentity.objects.get())
    ProviderIdentity.objects.all().delete()
    assert refused(approved) == "invalid_grant"


@pytest.mark.parametrize("state", ["waiting", "claimed", "approved"])
def test_a_client_that_is_disabled_ends_its_devices_for_good(state):
    """Also what nobody claimed: enabled again, it begins anew."""
    asked, browser = codes(), make_browser()
    if state == "claimed":
        claim(browser, asked)
    elif state == "approved":
        answer(browser, asked)
    pks = list(get_application_model().objects.values_list("pk", flat=True))
    disable(pks)
    assert poll(asked).status_code == 401
    assert "wrong or too old" in enter(make_browser(), asked["user_code"]).content.decode()
    enable(pks)
    assert refused(asked) == "invalid_grant"
    assert not User.objects.exists()


def test_a_client_that_is_deleted_takes_its_devices_along():
    waiting, claimed = codes(), codes()
    claim(make_browser(), claimed)
    get_application_model().objects.all().delete()
    assert not DeviceAuthorization.objects.exists()
    assert poll(waiting).status_code == poll(claimed).status_code == 401


def test_a_session_that_ended_within_the_grace_answers_no_retry():
    """I11."""
    asked = codes()
    answer(make_browser(), asked)
    assert poll(asked).status_code == 200
    end.end_session(PendingAuthorization.objects.get().pk)
    assert refused(asked) == "invalid_grant"


def test_devices_that_are_no_longer_served_are_not_answered(lazyauth):
    asked = codes()
    answer(make_browser(), asked)
    lazyauth(DEVICE_FLOW=False)
    assert refused(asked) == "unsupported_grant_type"


def test_who_withdraws_their_consent_ends_the_session_of_the_device(approved):
    assert poll(approved).status_code == 200
    end.withdraw(User.objects.get(), get_application_model().objects.get())
    assert alive() == 0
    assert refused(approved) == "invalid_grant"
