"""The account page asks before it ends something, names what ended, and gives and deletes a person's data."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core import signing
from django.db import models
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import Consent, PendingAuthorization, ProviderIdentity
from django_lazyauth.models.fields import uuid7
from django_lazyauth.web.design.agent import agent_of
from django_lazyauth.web.personal.telling import SALT
from tests.sessions.conftest import signed_in_at
from tests.support.journey import get, make_browser, post
from tests.web.site import assert_error_page, signed_in, soup_of

from .test_account_page import PAGE, forged, opened, press_once, text, told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser(ada):
    return signed_in(get_user_model().objects.get())


# -- asked once, and told what ended ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "question"),
    [
        ("end", "Sign out of Trail Journal?"),
        ("end_all", "Sign out of all applications?"),
        ("withdraw", "Withdraw access of Trail Journal?"),
    ],
)
def test_what_ends_something_asks_once_and_names_it(browser, ada, action, question):
    """Spec 10."""
    page = press_once(browser, opened(browser), action)
    assert soup_of(page).h1.get_text() == question
    assert ada.is_alive()
    press_once(browser, page, action)
    assert not ada.is_alive()


def test_going_back_from_the_question_changes_nothing(browser, ada):
    page = press_once(browser, opened(browser), "end", session=ada.sid)
    [link] = soup_of(page).main.find_all("a")
    assert get(browser, link["href"]).status_code == 200
    assert ada.is_alive()


@pytest.mark.parametrize("of", ["x", "Bank%20has%20your%20money", "%00", "x" * 9000])
def test_a_name_that_we_did_not_sign_is_not_shown(browser, of):
    """Nobody puts words into the page by a link."""
    page = get(browser, f"{PAGE}?done=ended&of={of}")
    assert soup_of(page).find(attrs={"role": "status"}).get_text() == "The application is signed out."


def test_a_name_that_was_signed_for_somebody_else_or_another_act_is_not_shown(browser):
    user = get_user_model().objects.get()
    for value in (["999", "ended", "Bank"], [str(user.pk), "withdrawn", "Bank"], "Bank", ["Bank"]):
        page = get(browser, f"{PAGE}?done=ended&of={signing.dumps(value, salt=SALT)}")
        assert "Bank" not in text(page)


# -- sessions --------------------------------------------------------------------------------------------------


def test_a_session_says_in_which_browser_and_network_it_began_and_in_which_time_zone(trail, db):
    """Spec 10. Only names of ours are kept of the header."""
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 Secret/1"
    browser = make_browser()
    browser.defaults["HTTP_USER_AGENT"] = agent
    browser.defaults["REMOTE_ADDR"] = "203.0.113.77"
    signed_in_at(trail, browser=browser)
    page = text(opened(signed_in(get_user_model().objects.get())))
    assert "Firefox on Linux" in page
    assert "203.0.113.0/24" in page
    assert "203.0.113.77" not in page
    assert timezone.localtime().tzname() in page
    assert PendingAuthorization.objects.get().agent == "Firefox/Linux"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge/Windows",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari/iPhone"),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
            "Chrome/Android",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/18.0 Safari/605.1.15", "Safari/macOS"),
        ("curl/8.5", ""),
        ("", ""),
        ("<script>" * 1000, ""),
    ],
)
def test_the_browser_is_told_by_names_of_ours(rf, header, kept):
    assert agent_of(rf.get("/", headers={"user-agent": header})) == kept


def test_two_hundred_sessions_are_shown_in_pages(browser, ada, django_assert_max_num_queries):
    """Spec 10. No more queries, and the last page holds the oldest."""
    row = RefreshToken.objects.get(revoked__isnull=True)
    for number in range(200):
        access = AccessToken.objects.create(
            user=row.user,
            application=row.application,
            token=f"t{number}",
            expires=row.created + timedelta(days=1),
        )
        RefreshToken.objects.create(
            user=row.user,
            application=row.application,
            token=f"r{number}",
            access_token=access,
            token_family=uuid7(),
        )
    with django_assert_max_num_queries(14):
        first = opened(browser)
    assert len(soup_of(first).find_all("button", {"value": "end"})) == 50
    assert "Page 1 of 5" in text(first)
    last = opened(browser, "?page=5")
    assert len(soup_of(last).find_all("button", {"value": "end"})) == 1
    for odd in ("0", "-1", "x", "999", "%00"):
        assert get(browser, f"{PAGE}?page={odd}").status_code == 200


def test_what_is_connected_is_not_offered_again(browser, ada):
    offered = [b["value"] for b in soup_of(opened(browser)).select("#ways button[name=provider]")]
    assert "demo" not in offered
    assert "other" in offered


def test_the_sections_can_be_named_in_the_address(browser):
    soup = soup_of(opened(browser))
    for link in soup.select(".lazyauth-tabs a"):
        assert soup.find(id=link["href"].removeprefix("#")).name == "section"


# -- data ------------------------------------------------------------------------------------------------------


def test_a_person_downloads_what_is_held_about_them(browser, ada):
    file = press_once(browser, opened(browser), "export")
    assert file.headers["Content-Disposition"] == 'attachment; filename="account.json"'
    assert file.headers["Cache-Control"] == "no-store"
    found = file.json()
    assert found["account"]["email"] == "ada@people.example"
    assert found["sessions"][0]["application"] == "Trail Journal"
    assert ada.tokens["access_token"] not in file.content.decode()
    assert ada.tokens["refresh_token"] not in file.content.decode()


def test_a_person_deletes_their_account_by_typing_its_name(browser, ada, maps):
    """I21: nothing of theirs works afterwards."""
    other = signed_in_at(maps)
    page = forged(browser, action="delete")
    assert soup_of(page).h1.get_text() == "Delete your account?"
    wrong = press_once_typed(browser, page, "ada")
    assert "Nothing was deleted" in text(wrong)
    assert soup_of(wrong).find("input", {"name": "typed"})["value"] == "ada"
    assert ada.is_alive()
    gone = press_once_typed(browser, wrong, " Ada@People.example ")
    assert "2 sessions ended. 1 way to sign in was removed." in text(gone)
    assert not ada.is_alive()
    assert not other.is_alive()
    assert not get_user_model().objects.exists()
    assert not ProviderIdentity.objects.exists()
    assert not Consent.objects.exists()
    assert SESSION_KEY not in browser.session
    assert get(browser, PAGE).headers["Location"] == "/account/sign-in"


def test_a_name_is_typed_as_it_is_seen(browser, ada):
    """Nobody can type a character that no page shows, or two blanks that a page shows as one."""
    get_user_model().objects.update(email="", username="Ada\u200b  Love\u202elace")
    gone = forged(browser, action="delete", typed="ada lovelace")
    assert "1 session ended." in text(gone)
    assert not get_user_model().objects.exists()


def press_once_typed(browser, page, typed):
    token = soup_of(page).find("input", {"name": "form_token"})["value"]
    return post(browser, PAGE, {"form_token": token, "action": "delete", "typed": typed})


@pytest.mark.parametrize("action", ["export", "delete"])
def test_an_old_sign_in_is_not_enough_for_a_persons_data(ada, action):
    old = signed_in(get_user_model().objects.get(), ago=timedelta(minutes=11))
    assert not soup_of(opened(old)).find("button", {"value": action})
    answer = forged(old, action=action, typed="ada@people.example")
    assert told(old, answer) == "Please sign in again first. Nothing was changed."
    assert get_user_model().objects.exists()
    assert ada.is_alive()


def test_a_person_whom_the_site_needs_is_told_so(browser, ada, monkeypatch):
    """Rows of the host that protect the user."""

    def refuse(self, *args, **kwargs):
        raise models.ProtectedError("kept", {self})

    monkeypatch.setattr(get_user_model(), "delete", refuse)
    answer = forged(browser, action="delete", typed="ada@people.example")
    assert told(browser, answer) == "This site has records that need your account. Nothing was deleted."
    assert get_user_model().objects.exists()


def test_a_form_of_another_page_deletes_nobody(browser, ada):
    page = post(browser, PAGE, {"action": "delete", "typed": "ada@people.example", "form_token": "x"})
    assert_error_page(page)
    assert get_user_model().objects.exists()
