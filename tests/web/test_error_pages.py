"""Each sentence that an error page can say, said by a page after what it says happened (spec 10)."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db.models.signals import pre_save
from django.utils import timezone

import django_lazyauth
from django_lazyauth.models import DeviceAuthorization, DeviceStatus, PendingAuthorization
from django_lazyauth.web.page import ERROR_WORDS, ErrorKind
from tests.sessions.conftest import signed_in_at
from tests.support import devices
from tests.support.journey import code_for, come_back, form_of, get, make_browser, post, redeem, start, submit

from .site import (
    ask,
    ask_raw,
    assert_error_page,
    change_client,
    make_user,
    register_client,
    signed_in,
    soup_of,
)

pytestmark = pytest.mark.django_db

PACKAGE = Path(django_lazyauth.__file__).parent
CASES: dict[str, Callable] = {}
#: Said after something that another file brings about.
ELSEWHERE = {
    "You have no account here yet. Start from the application you want to use.": "sessions/test_account_page.py",
    "This account does not exist any more.": "web/test_error_pages.py",
}


def says(sentence: str):
    def keep(case):
        CASES[sentence] = case
        return case

    return keep


def consent_page(browser, client, **changes):
    answer = come_back(browser, start(browser, client, **changes), subject="ada")
    return get(browser, answer.headers["Location"])


# -- forms -----------------------------------------------------------------------------------------------------


@says("The form holds characters that it cannot hold.")
def characters(client, lazyauth):
    return post(make_browser(), "/authorize/choose", {"provider": "\x00"})


@says("The form cannot be read.")
def unreadable(client, lazyauth):
    return post(make_browser(), "/authorize/choose", {f"f{number}": "x" for number in range(1100)})


@says("This page cannot be reloaded.")
def reloaded(client, lazyauth):
    return get(make_browser(), "/authorize/choose")


@says("Choose whether to allow it or not.")
def undecided(client, lazyauth):
    browser = make_browser()
    return submit(browser, consent_page(browser, client), decision="perhaps")


@says("Choose whether to sign out or not.")
def unsure(client, lazyauth):
    browser = signed_in(make_user())
    return submit(browser, get(browser, "/logout"), decision="perhaps")


@says("This page is too old. Nothing was changed.")
def old_account_page(client, lazyauth):
    return post(signed_in(make_user()), "/account/sessions", {"form_token": "x", "action": "end_all"})


@says("This page is too old.")
def old_page(client, lazyauth):
    browser = make_browser()
    page = ask(browser, client)
    lazyauth(FLOW_LIFETIME=0.001)
    return submit(browser, page, provider="demo")


@says("The request is too long.")
def long_request(client, lazyauth):
    browser = make_browser()
    action, fields = form_of(ask(browser, client))
    return post(browser, action, fields | {"request": "x" * 50_000, "provider": "demo"})


# -- where a sign-in stands ------------------------------------------------------------------------------------


@says("This sign-in is over, or was begun in another browser.")
def another_browser(client, lazyauth):
    upstream = start(make_browser(), client)
    return come_back(make_browser(), upstream, subject="ada")


@says("This sign-in is over.")
def over(client, lazyauth):
    browser = make_browser()
    consent_page(browser, client)
    PendingAuthorization.objects.update(expires_at=timezone.now())
    return get(browser, f"/authorize/{PendingAuthorization.objects.get().pk}")


@says("This sign-in went on in another tab.")
def went_on(client, lazyauth):
    browser = make_browser()
    upstream = start(browser, client)
    page = get(browser, f"/authorize/{PendingAuthorization.objects.get().pk}")
    come_back(browser, upstream, subject="ada")
    return submit(browser, page, provider="other")


@says("This request was answered already.")
def answered(client, lazyauth):
    browser = make_browser()
    page = consent_page(browser, client)
    submit(browser, page, decision="allow")
    return submit(browser, page, decision="deny")


@says("An account is still to be connected.")
def to_connect(client, lazyauth):
    browser = make_browser()
    page = consent_page(browser, client)
    lazyauth(CHAINS=[{"client": client.client_id, "providers": ["demo", "other"]}])
    return submit(browser, page, decision="allow")


@says("The application may not sign anybody in here any more.")
def lost_its_grant(client, lazyauth):
    browser = make_browser()
    page = consent_page(browser, client)
    change_client(client, authorization_grant_type="implicit")
    return submit(browser, page, decision="allow")


@says("Too many people are signing in right now. Try again in a few minutes.")
def full(client, lazyauth):
    browser = make_browser()
    page = ask(browser, client)
    lazyauth(MAX_PENDING_AUTHORIZATIONS=0)
    return submit(browser, page, provider="demo")


@says("You are not signed in.")
def cancelled(client, lazyauth):
    return get(make_browser(), "/account/return?error=access_denied")


@says("Somebody else is signed in here by now. Nothing was connected.")
def somebody_else(client, lazyauth):
    browser = signed_in(make_user())
    token = soup_of(get(browser, "/account/sessions")).find("input", {"name": "form_token"})["value"]
    upstream = post(browser, "/account/sessions", {"form_token": token, "action": "link", "provider": "demo"})
    signed_in(make_user("grace"), browser=browser)
    return come_back(browser, upstream, subject="ada")


# -- a device --------------------------------------------------------------------------------------------------


@says("The device does not wait any more.")
def ended_device(client, lazyauth):
    """Its row ended, and that of the flow is about to."""
    browser, row = claimed_device(lazyauth)
    DeviceAuthorization.objects.all().close(DeviceStatus.ENDED)
    return get(browser, f"/authorize/{row.pending_id}")


@says("The code of the device is too old.")
def old_device(client, lazyauth):
    browser, row = claimed_device(lazyauth)
    page = devices.sign_in(browser, get(browser, f"/authorize/{row.pending_id}"))
    DeviceAuthorization.objects.update(expires_at=timezone.now())
    return submit(browser, page, decision="allow")


def claimed_device(lazyauth):
    """Return a browser in which the code of a device was typed, and the row of the device."""
    lazyauth(DEVICE_FLOW=True)
    register_client(devices.CLIENT_ID, authorization_grant_type=devices.DEVICE_CODE)
    browser = make_browser()
    devices.claim(browser, devices.codes())
    return browser, DeviceAuthorization.objects.get()


# -- what the application did ----------------------------------------------------------------------------------


@says("The application sent a request that cannot be served.")
def unservable(client, lazyauth):
    return ask_raw(make_browser(), "client_id=nobody")


@says("The application is not registered here any more.")
def unregistered(client, lazyauth):
    browser = make_browser()
    page = ask(browser, client)
    change_client(client, redirect_uris="https://elsewhere.example/cb")
    return submit(browser, page, provider="demo")


@says("The application sent a sign-in of another application.")
def another_applications(client, lazyauth):
    other = register_client()
    token = signed_in_at(client).id_token
    return get(make_browser(), f"/logout?id_token_hint={token}&client_id={other.client_id}")


@says("The application sent an address to go back to that it did not register.")
def unregistered_address(client, lazyauth):
    where = "https://elsewhere.example/after"
    return get(make_browser(), f"/logout?client_id={client.client_id}&post_logout_redirect_uri={where}")


# -- the tests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", CASES)
def test_the_page_says_so_after_it_happened(sentence, client_, lazyauth):
    page = CASES[sentence](client_, lazyauth)
    assert assert_error_page(page, page.status_code) == sentence
    assert 400 <= page.status_code < 500 or (page.status_code == 503 and "Retry-After" in page.headers)


def test_no_sentence_is_without_such_a_page():
    assert sentences() == CASES.keys() | ELSEWHERE.keys()
    for sentence, place in ELSEWHERE.items():
        words = sentence.partition(". ")[0].removeprefix("You have ")
        assert words in (Path(__file__).parents[1] / place).read_text(), sentence


@pytest.mark.django_db(transaction=True)
def test_who_is_deleted_while_they_sign_in_is_told_so(client_):
    """Between the check of their account and the note of their sign-in."""
    redeem(client_, code_for(client_))
    browser = make_browser()
    upstream = start(browser, client_)

    def delete(sender, instance, update_fields=None, **kwargs):
        if update_fields and "last_login" in update_fields:
            sender.objects.filter(pk=instance.pk).delete()

    pre_save.connect(delete, sender=get_user_model())
    try:
        page = come_back(browser, upstream, subject="ada")
    finally:
        pre_save.disconnect(delete, sender=get_user_model())
    assert assert_error_page(page) == "This account does not exist any more."


#: An error of each kind.
OF_KINDS = {
    ErrorKind.CANCELLED: cancelled,
    ErrorKind.LATER: full,
    ErrorKind.SET_UP: unservable,
    ErrorKind.REFUSED: answered,
}


@pytest.mark.parametrize("kind", ErrorKind)
def test_each_kind_says_whose_turn_it_is(kind, client_, lazyauth):
    """Spec 10: what happened, whose turn it is, and a way on."""
    text = " ".join(soup_of(OF_KINDS[kind](client_, lazyauth)).main.get_text(" ").split())
    heading, what_next = map(str, ERROR_WORDS[kind])
    assert heading in text
    # A way on stands in its place where there is one.
    assert what_next in text or kind is ErrorKind.CANCELLED
    assert not [other for other in ErrorKind if other is not kind and str(ERROR_WORDS[other][0]) in text]


def test_a_way_that_does_not_work_is_said_on_the_page_of_the_ways(client_):
    browser = make_browser()
    page = submit(browser, ask(browser, client_), provider="nobody")
    assert "This way to sign in does not work at the moment." in soup_of(page).main.get_text()


def sentences() -> set[str]:
    """Return what stands in a call that makes an error page, or raises what becomes one."""
    found = set()
    for room in ("web", "authorize", "sign_in", "sessions"):
        for file in (PACKAGE / room).rglob("*.py"):
            for call in ast.walk(ast.parse(file.read_text())):
                if isinstance(call, ast.Call) and name_of(call) in MAKERS:
                    found |= {text for argument in call.args for text in marked(argument)}
    found |= set(marked(flow_is_gone()))
    return found


MAKERS = {"show_error", "InvalidRequest", "InvalidGrant", "TemporarilyUnavailable", "__init__", "AccountGone"}


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def marked(node: ast.AST) -> list[str]:
    """Return the texts for translation in an expression."""
    return [
        call.args[0].value
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and name_of(call) in {"_", "gettext_noop"}
        and isinstance(call.args[0], ast.Constant)
    ]


def flow_is_gone() -> ast.AST:
    tree = ast.parse((PACKAGE / "web" / "page.py").read_text())
    return next(node for node in ast.walk(tree) if getattr(node, "name", "") == "flow_is_gone")
