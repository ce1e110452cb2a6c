"""Issue 16: ``provider_hint`` and ``domain_hint`` at ``/authorize`` suggest a way to sign in."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from django_lazyauth.models import PendingAuthorization
from tests.support.journey import get, make_browser

pytestmark = pytest.mark.django_db


def ask(client, **hints):
    return get(make_browser(), f"/authorize?{client.authorize_query(**hints)}")


def buttons(page) -> list[str]:
    return [
        one["value"]
        for one in BeautifulSoup(page.content, "html.parser").find_all("button", attrs={"name": "provider"})
    ]


def test_a_client_of_the_operator_goes_straight_to_the_provider(client_):
    answer = ask(client_, provider_hint="other")
    assert answer.status_code in (302, 303)
    assert PendingAuthorization.objects.get().provider == "other"


@pytest.mark.parametrize("hint", ["nosuch", "sso:corp.example", "../other"])
def test_a_hint_that_leads_nowhere_is_ignored(client_, hint):
    page = ask(client_, provider_hint=hint)
    assert page.status_code == 200
    assert buttons(page) == ["demo", "other"]


def test_who_wants_to_choose_sees_the_hint_first(client_):
    """``prompt=select_account`` asks the person."""
    page = ask(client_, provider_hint="other", prompt="select_account")
    assert buttons(page)[:2] == ["other", "demo"]


def test_nobody_is_sent_away_by_the_link_of_a_stranger(client_, application):
    """A client that registered itself shows its name first."""
    application.registration_source = "dcr"
    application.save()
    page = ask(client_, provider_hint="other")
    assert page.status_code == 200
    assert buttons(page)[:2] == ["other", "demo"]
    assert not PendingAuthorization.objects.exists()


def test_a_domain_leads_to_its_own_provider(client_, lazyauth):
    lazyauth(SSO_DOMAINS={"corp.example": {"issuer": "https://login.corp.example", "client_id": "us"}})
    answer = ask(client_, domain_hint="corp.example", prompt="select_account")
    assert (
        BeautifulSoup(answer.content, "html.parser").find("input", attrs={"name": "domain"})["value"]
        == "corp.example"
    )
    straight = ask(client_, domain_hint="corp.example")
    assert straight.status_code != 200 or b"corp.example" in straight.content
    assert PendingAuthorization.objects.get().provider == "sso:corp.example"


def test_nobody_is_signed_in_by_a_hint(client_):
    """``prompt=none``: a hint shows no page and goes nowhere."""
    answer = ask(client_, provider_hint="other", prompt="none")
    assert "error=login_required" in answer.headers["Location"]
