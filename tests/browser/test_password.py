"""The password provider in a browser: register with the mailed code, sign in, change the password."""

from __future__ import annotations

import secrets

import pytest

from .pages import NEW_PASSWORD, password_code, password_register, password_sign_in, password_wrong
from .person import Somebody
from .site import Site, words_of

NEWER_PASSWORD = "nine-loud-herons"


@pytest.fixture
def address() -> str:
    """An address that no other test used: what is counted per address outlives a test."""
    return f"ada-{secrets.token_hex(4)}@mail.example"


def register(site: Site, person: Somebody, address: str) -> None:
    """Go all the way of somebody new, up to the redeemed code."""
    client = site.client()
    password_code(person, client, address)
    person.fill(code=site.code_for(address))
    person.press("Go on")
    person.press("Allow")
    client.redeem(person.page.url)


def sign_in(site: Site, person: Somebody, address: str, password: str) -> None:
    password_sign_in(person, site.client())
    person.fill(email=address, password=password)
    person.press("Sign in")


def test_a_new_person_registers_with_the_code_of_the_mail(site: Site, person: Somebody, address):
    """I4: neither the account nor its password is there before the client redeems its code."""
    client = site.client()
    password_code(person, client, address)
    assert person.heading == "Type the code from the mail"
    assert address in person.text
    person.fill(code=site.code_for(address).lower())
    person.press("Go on")
    assert person.heading == "Allow access?"
    assert address in person.text
    person.press("Allow")
    assert site.count("auth_user") == 0

    tokens = client.redeem(person.page.url)
    assert client.userinfo(tokens)["email"] == address
    assert site.count("auth_user") == 1


def test_what_was_typed_is_shown_on_demand(site: Site, person: Somebody):
    """Spec 10. The words of the button are in the page's language, and the form sends a password again."""
    password_sign_in(person, site.client())
    field = person.page.locator("input[name=password]")
    field.fill(NEW_PASSWORD)
    person.page.get_by_role("button", name="Show the password").click()
    assert (field.get_attribute("type"), field.input_value()) == ("text", NEW_PASSWORD)
    person.page.get_by_role("button", name="Hide the password").click()
    assert field.get_attribute("type") == "password"


def test_the_registered_person_signs_in_elsewhere(site: Site, somebody, address):
    register(site, somebody(), address)
    elsewhere, client = somebody(), site.client()
    password_sign_in(elsewhere, client)
    elsewhere.fill(email=address.upper(), password=NEW_PASSWORD)
    elsewhere.press("Sign in")
    assert "code" in client.answer(elsewhere.page.url)


def test_a_changed_password_counts_from_the_redeemed_code_on(site: Site, somebody, address):
    register(site, somebody(), address)
    person, client = somebody(), site.client()
    password_sign_in(person, client)
    person.follow("Forgot your password?")
    person.fill(email=address, password=NEWER_PASSWORD)
    person.press("Change the password")
    person.fill(code=site.code_for(address))
    person.press("Go on")
    if person.page.url.startswith(site.url):
        person.press("Allow")

    early = somebody()
    sign_in(site, early, address, NEWER_PASSWORD)
    assert "That did not work" in early.text

    client.redeem(person.page.url)
    late = somebody()
    sign_in(site, late, address, NEW_PASSWORD)
    assert "That did not work" in late.text
    late.fill(password=NEWER_PASSWORD)
    late.press("Sign in")
    assert late.page.url.startswith(site.redirect_uri)


def test_a_wrong_password_is_said_where_it_is_heard(site: Site, person: Somebody):
    """WCAG 2.2 §4.1.3; the address stays in its field, the password does not."""
    password_wrong(person, site.client())
    assert "That did not work" in person.page.get_by_role("alert").inner_text()
    assert person.page.locator("input[name=email]").input_value().endswith("@mail.example")
    assert person.page.locator("input[name=password]").input_value() == ""


def test_a_wrong_code_is_refused_and_the_right_one_still_counts(site: Site, person: Somebody, address):
    password_code(person, site.client(), address)
    person.fill(code="0000-0000")
    person.press("Go on")
    assert "wrong or has expired" in person.page.get_by_role("alert").inner_text()
    person.fill(code=site.code_for(address))
    person.press("Go on")
    assert person.heading == "Allow access?"


def test_another_mail_brings_another_code(site: Site, person: Somebody, address):
    password_code(person, site.client(), address)
    person.press("Send another mail")
    assert "on its way" in person.page.get_by_role("status").inner_text()
    assert len(site.mails_to(address)) == 2
    person.fill(code=site.code_for(address))
    person.press("Go on")
    assert person.heading == "Allow access?"


def test_a_double_click_or_a_reload_sends_no_second_mail(site: Site, person: Somebody, address):
    """I23: and the code of the one mail is good."""
    password_register(person, site.client())
    person.fill(email=address, password=NEW_PASSWORD)
    person.button("Register").dblclick(delay=0)
    person.page.get_by_role("heading", name="Type the code from the mail").wait_for()
    person.page.reload()
    assert person.heading == "Type the code from the mail"
    assert len(site.mails_to(address)) == 1
    person.fill(code=site.code_for(address))
    person.button("Go on").dblclick(delay=0)
    person.page.get_by_role("heading", name="Allow access?").wait_for()


def test_a_double_click_on_sign_in_signs_in(site: Site, somebody, address):
    """I23: with the session of the answer that the browser dropped."""
    register(site, somebody(), address)
    person, client = somebody(), site.client()
    password_sign_in(person, client)
    person.fill(email=address, password=NEW_PASSWORD)
    person.button("Sign in").dblclick(delay=0)
    person.page.wait_for_url(f"{site.redirect_uri}?**")
    assert "code" in client.answer(person.page.url)
    person.page.goto(f"{site.url}/account/sessions")
    assert address in person.text


def test_a_known_address_gives_the_same_page_and_another_mail(site: Site, somebody, address):
    """Who asks whether an address is registered sees what everybody sees."""
    register(site, somebody(), address)
    known, unknown, stranger = somebody(), somebody(), f"x{address}"
    password_code(known, site.client(), address)
    password_code(unknown, site.client(), stranger)
    assert known.text.replace(address, "…") == unknown.text.replace(stranger, "…")
    assert "has an account already" in words_of(site.mails_to(address)[-1])


def test_somebody_can_turn_to_another_way_in(site: Site, person: Somebody):
    password_sign_in(person, site.client())
    person.follow("Other ways to sign in")
    assert person.button("Continue with Demo Upstream").is_visible()
