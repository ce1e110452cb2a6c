"""The account page: a person sets their first password, and changes the one that they have."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.db.models.signals import post_save
from django.utils import translation

from django_lazyauth.models import PendingAuthorization, ProviderIdentity
from django_lazyauth.providers.password import PERSON_FAILURES
from django_lazyauth.sessions.browser import BEGAN_KEY
from django_lazyauth.sign_in.own.password import _write
from tests.sessions.conftest import signed_in_at
from tests.sessions.test_account_page import PAGE, forged, opened, press_once, told
from tests.support.journey import come_back, consent, get, make_browser, post, query_of, redeem, submit
from tests.web.site import ask, signed_in, soup_of

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "correct-horse-battery", "staple-gun-and-paper-7"
ADDRESS = "ada@mail.example"
VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "NumericPasswordValidator")
]


@pytest.fixture(autouse=True)
def site(settings, lazyauth):
    settings.AUTH_PASSWORD_VALIDATORS = VALIDATORS
    local = {"type": "password", "display_name": "Password"}
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"local": local})


@pytest.fixture
def person(ada):
    return get_user_model().objects.get()


def with_password(person, password=OLD):
    person.set_password(password)
    person.save()
    return person


def history_of(person, language="en") -> list[str]:
    """Return the lines of the person's history in the admin, the oldest first. All were written by the person."""
    entries = LogEntry.objects.filter(object_id=str(person.pk)).order_by("pk")
    assert {(entry.user_id, entry.get_edited_object()) for entry in entries} <= {(person.pk, person)}
    with translation.override(language):
        return [entry.get_change_message() for entry in entries]


def fill(browser, page, **typed):
    """Fill in the one form of the page that has these fields, and send it."""
    for form in soup_of(page).find_all("form"):
        fields = {each["name"]: each.get("value", "") for each in form.find_all("input") if each.get("name")}
        if typed.keys() <= fields.keys():
            button = form.find("button", {"name": "action"})
            act = {"action": button["value"]} if button else {}
            return post(browser, form["action"], fields | act | typed)
    raise AssertionError(f"no form for {sorted(typed)}")


def can_sign_in(person, password) -> bool:
    return get_user_model().objects.get(pk=person.pk).check_password(password)


def test_a_first_password_is_set_with_an_address_that_is_proved(person, ada):
    """I6: only the mailbox proves the address. The person signs in with both from then on."""
    browser, other = signed_in(person), signed_in(person)
    assert soup_of(opened(browser)).find("button", {"name": "provider", "value": "local"})
    step = forged(browser, action="link", provider="local")
    page = get(browser, step.headers["Location"])
    assert "Set a password" in page.content.decode()
    page = fill(browser, page, email=ADDRESS, password=NEW)
    assert not ProviderIdentity.objects.filter(provider="local").exists()
    code = re.search(r"\b([0-9A-Z]{4}-[0-9A-Z]{4})\b", mail.outbox[-1].body)[1]
    assert "Your password is set" in told(browser, fill(browser, page, code=code))
    identity = ProviderIdentity.objects.get(provider="local")
    assert (identity.subject, identity.user) == (ADDRESS, person)
    assert can_sign_in(person, NEW)
    assert ada.is_alive()
    assert get(other, PAGE).status_code == 303
    assert not PendingAuthorization.objects.filter(link_to__isnull=False).exists()
    assert history_of(person) == ["Added identity “local”.", "Changed password."]


def test_the_flow_that_sets_a_password_takes_no_other_form(person):
    """I5: nobody's local account is added to somebody by signing in to it there."""
    with_password(get_user_model().objects.create_user("bob"))
    browser = signed_in(person)
    step = forged(browser, action="link", provider="local")
    address = step.headers["Location"]
    fields = {i["name"]: i.get("value", "") for i in soup_of(get(browser, address)).form.find_all("input")}
    for action in ("sign_in", "change"):
        answer = post(browser, address, fields | {"action": action, "email": "bob", "password": OLD})
        assert "This step is over" in answer.content.decode()
    assert not ProviderIdentity.objects.filter(provider="local").exists()
    assert not mail.outbox


def test_who_has_a_password_sets_no_second_one(person):
    browser = signed_in(with_password(person))
    page = opened(browser)
    assert soup_of(page).find("button", {"value": "local"}) is None
    answer = forged(browser, action="link", provider="local")
    page = fill(browser, get(browser, answer.headers["Location"]), email=ADDRESS, password=NEW)
    code = re.search(r"\b([0-9A-Z]{4}-[0-9A-Z]{4})\b", mail.outbox[-1].body)[1]
    assert "has a password already" in told(browser, fill(browser, page, code=code))
    assert can_sign_in(person, OLD)
    assert not ProviderIdentity.objects.filter(provider="local").exists()


def test_a_browser_is_not_fresh_because_the_person_signed_in_at_another(person):
    """Both were signed in by a page of the host, and `last_login` is of both."""
    with_password(person)
    early, late = make_browser(), make_browser()
    early.force_login(person)
    session = early.session
    session[BEGAN_KEY] -= 3600
    session.save()
    late.force_login(person)
    forms = [press_once(browser, opened(browser), "password") for browser in (early, late)]
    assert [bool(soup_of(form).find("input", {"name": "current"})) for form in forms] == [True, False]
    assert "Please sign in again" in told(early, forged(early, action="link", provider="demo"))


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_change_ends_what_the_old_password_opened(person, ada, trail, is_fresh):
    """The current password is asked for unless the person signed in just now. They are told by mail."""
    ago = timedelta(0) if is_fresh else timedelta(hours=1)
    browser = signed_in(with_password(person), ago=ago)
    other, grace = signed_in(person), signed_in_at(trail, subject="grace")
    page = press_once(browser, opened(browser), "password")
    assert (soup_of(page).find("input", {"name": "current"}) is None) == is_fresh
    typed = {"password": NEW} if is_fresh else {"current": OLD, "password": NEW}
    assert "Your password is changed" in told(browser, fill(browser, page, **typed))
    assert can_sign_in(person, NEW)
    assert not ada.is_alive()
    assert grace.is_alive()
    assert get(other, PAGE).status_code == 303
    assert mail.outbox[-1].to == [person.email]
    assert NEW not in mail.outbox[-1].body
    assert history_of(person) == ["Changed password."]
    assert history_of(person, "de") == ["Passwort geändert."]


def test_a_password_that_a_mailed_code_replaced_stands_in_the_history(person, client_):
    ProviderIdentity.objects.create(
        user=with_password(person), provider="local", subject=ADDRESS, email=ADDRESS, email_verified=True
    )
    browser = make_browser()
    page = submit(browser, ask(browser, client_), provider="local")
    page = get(browser, f"{page.headers['Location']}?step=change")
    page = fill(browser, page, email=ADDRESS, password=NEW)
    code = re.search(r"\b([0-9A-Z]{4}-[0-9A-Z]{4})\b", mail.outbox[-1].body)[1]
    answer = consent(browser, fill(browser, page, code=code))
    assert redeem(client_, query_of(answer.headers["Location"])["code"]).status_code == 200
    assert can_sign_in(person, NEW)
    assert history_of(person) == ["Changed password."]


def test_what_is_connected_and_disconnected_stands_in_the_history(person):
    """Spec 10: an operator sees who changed how a person signs in."""
    browser = signed_in(with_password(person))
    came = come_back(
        browser, forged(browser, action="link", provider="other"), subject="there", provider="other"
    )
    told(browser, came)
    identity = ProviderIdentity.objects.get(provider="other")
    told(browser, forged(browser, action="unlink", identity=identity.pk, sure=1))
    assert history_of(person) == ["Added identity “other”.", "Deleted identity “other”."]
    assert history_of(person, "de")[0] == "Identität „other“ hinzugefügt."


def test_no_password_is_changed_without_its_line_in_the_history(person):
    """One transaction writes both."""

    def fail(**_):
        raise ZeroDivisionError

    with_password(person)
    post_save.connect(fail, sender=LogEntry)
    try:
        with pytest.raises(ZeroDivisionError):
            _write(person, make_password(NEW))
    finally:
        post_save.disconnect(fail, sender=LogEntry)
    assert can_sign_in(person, OLD)


def test_the_current_password_is_guessed_at_ten_times(person, ada):
    browser = signed_in(with_password(person), ago=timedelta(hours=1))
    page = press_once(browser, opened(browser), "password")
    for _ in range(PERSON_FAILURES.limit):
        page = fill(browser, page, current="wrong", password=NEW)
        assert "not your current password" in soup_of(page).main.get_text()
    page = fill(browser, page, current=OLD, password=NEW)
    assert re.search(r"Too many attempts\. Try again in \d+ minute", soup_of(page).main.get_text())
    assert can_sign_in(person, OLD)
    assert ada.is_alive()


def guess_on_the_account_page(person, password):
    browser = signed_in(person, ago=timedelta(hours=1))
    page = press_once(browser, opened(browser), "password")
    return fill(browser, page, current=password, password=NEW)


def guess_where_people_sign_in(person, client_, password):
    browser = make_browser()
    page = submit(browser, ask(browser, client_), provider="local")
    page = get(browser, page.headers["Location"])
    return fill(browser, page, email=person.get_username(), password=password)


def test_guesses_on_the_account_page_and_where_people_sign_in_are_one_budget(person, client_):
    """Threat model: one person, one budget. After it the right password is tried at neither place."""
    with_password(person)
    for turn in range(PERSON_FAILURES.limit):
        if turn % 2:
            guess_on_the_account_page(person, "wrong")
        else:
            guess_where_people_sign_in(person, client_, "wrong")
    locked = guess_on_the_account_page(person, OLD)
    assert "Too many attempts" in soup_of(locked).main.get_text()
    refused = guess_where_people_sign_in(person, client_, OLD)
    assert "That did not work" in soup_of(refused).main.get_text()
    assert can_sign_in(person, OLD)


def test_the_right_password_on_the_account_page_uses_nothing_up(person, client_):
    with_password(person)
    for _ in range(PERSON_FAILURES.limit - 1):
        guess_where_people_sign_in(person, client_, "wrong")
    for password in (OLD, NEW):
        guess_on_the_account_page(get_user_model().objects.get(pk=person.pk), password)
    assert guess_where_people_sign_in(person, client_, NEW).status_code == 303


def test_each_rule_that_is_not_met_is_a_message_of_its_own(person):
    browser = signed_in(with_password(person))
    page = press_once(browser, opened(browser), "password")
    page = fill(browser, page, password="1234")
    errors = [item.get_text() for item in soup_of(page).select(".errorlist li")]
    assert len(errors) == 2
    assert "too short" in errors[0]
    assert "entirely numeric" in errors[1]
    assert can_sign_in(person, OLD)


def test_a_site_without_passwords_offers_none(person, lazyauth, settings):
    lazyauth(PROVIDERS={"demo": settings.LAZYAUTH["PROVIDERS"]["demo"]})
    browser = signed_in(with_password(person))
    assert soup_of(opened(browser)).find("button", {"value": "password"}) is None
    assert told(browser, forged(browser, action="password", password=NEW)) == "That was over already."
    assert can_sign_in(person, OLD)
