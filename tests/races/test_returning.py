"""Sign-ins of one person at once, of whom the provider says different things: the last word stands whole."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.utils import timezone

from django_lazyauth.models import ProviderIdentity
from django_lazyauth.providers.base import SyncTerms
from django_lazyauth.sessions.browser import SignIn, log_in
from django_lazyauth.sign_in import identities
from tests.races.test_refresh import stricter  # noqa: F401 - a fixture
from tests.support.journey import code_for, come_back, make_browser, redeem, start
from tests.support.processes import PATIENCE, together, until
from tests.support.providers import BelievingProvider

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


class Telling(BelievingProvider):
    """``code=<subject>.<word>``: everything that is said of the subject has the word."""

    def complete(self, request, pending, private):
        success = super().complete(request, pending, private)
        subject, _, word = success.identity.subject.partition(".")
        identity = replace(
            success.identity,
            subject=subject,
            email=f"{word}@people.example",
            name=word,
            claims={},
            kept={"word": word},
        )
        return replace(success, identity=identity)


@pytest.fixture
def telling(lazyauth, settings):
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"demo": {"class": f"{__name__}.Telling"}})


def said():
    return ProviderIdentity.objects.values_list("email", "name", "claims").get()


def one_of(words):
    return [(f"{word}@people.example", word, {"word": word}) for word in words]


def call_back_at_once(client, number):
    """Four callbacks of one person, each with claims of its own. One of them stands then."""
    words = [f"round{number}-{place}" for place in range(4)]
    browsers = [make_browser() for _ in words]
    doors = [start(browser, client) for browser in browsers]
    answers = together(
        *[
            partial(come_back, browser, door, subject=f"ada.{word}")
            for browser, door, word in zip(browsers, doors, words, strict=True)
        ]
    )
    assert [answer.status_code for answer in answers] == [303] * 4
    assert said() in one_of(words)


@pytest.mark.usefixtures("telling")
def test_callbacks_of_one_person_with_different_claims_end_in_one_of_them(client_):
    assert redeem(client_, code_for(client_, subject="ada.first")).status_code == 200
    for number in range(5):
        call_back_at_once(client_, number)
    assert get_user_model().objects.count() == 1


class Updating(Telling):
    """Its users follow. The word is also their group."""

    def sync_terms(self):
        words = [f"round{number}-{place}" for number in range(5) for place in range(4)]
        return SyncTerms("update", ("first_name", "email"), tuple((word, word) for word in words))

    def complete(self, request, pending, private):
        success = super().complete(request, pending, private)
        word = success.identity.name
        identity = replace(success.identity, user_fields={"first_name": word}, groups=[word])
        return replace(success, identity=identity)


@pytest.fixture
def updating(lazyauth, settings):
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"demo": {"class": f"{__name__}.Updating"}})


def come_back_at_once(client, *, rounds):
    """Four callbacks of one person with different claims, and what stands then."""
    Group.objects.bulk_create(Group(name=word) for word, _ in Updating("demo", {}).sync_terms().group_map)
    assert redeem(client, code_for(client, subject="ada.first")).status_code == 200
    for number in range(rounds):
        call_back_at_once(client, number)
        user = get_user_model().objects.get()
        assert (user.email, user.first_name) == said()[:2]
        assert [group.name for group in user.groups.all()] == [user.first_name]


@pytest.mark.usefixtures("updating")
def test_user_account_and_groups_say_the_same_after_callbacks_at_once(client_):
    """Whoever is last has seen what the others wrote."""
    come_back_at_once(client_, rounds=5)


@pytest.mark.usefixtures("updating")
def test_a_person_who_disconnects_while_they_sign_in_is_no_error(client_):
    """The sign-in wins, and its account is disconnected afterwards; or it finds nobody, and somebody new signs in."""
    for number in range(5):
        assert redeem(client_, code_for(client_, subject=f"ada{number}.first")).status_code == 200
        link = ProviderIdentity.objects.get(subject=f"ada{number}")
        ProviderIdentity.objects.create(user=link.user, provider="other", subject=f"ada{number}")
        browser = make_browser()
        door = start(browser, client_)
        answer, _ = together(
            partial(come_back, browser, door, subject=f"ada{number}.second"),
            partial(identities.unlink, link.user, link.pk),
        )
        assert answer.status_code == 303
        assert not ProviderIdentity.objects.filter(pk=link.pk).exists()


@pytest.mark.usefixtures("telling")
def test_exchanges_of_one_new_person_with_different_claims_end_in_one_of_them(client_):
    words = [f"word{place}" for place in range(4)]
    codes = [code_for(client_, subject=f"ada.{word}") for word in words]
    answers = together(*[partial(redeem, client_, code) for code in codes])
    assert [answer.status_code for answer in answers] == [200] * 4, [answer.content for answer in answers]
    assert said() in one_of(words)
    assert get_user_model().objects.count() == 1


@pytest.mark.usefixtures("stricter")
def test_who_signs_in_while_another_browser_notes_its_time_is_signed_in(rf, waiting):
    """Django writes the time of a sign-in into the user's row, in no transaction of ours."""
    user, is_written = get_user_model().objects.create(username="ada"), threading.Event()
    request = rf.get("/callback/demo")
    request.session = SessionStore()

    def note_time():
        with transaction.atomic():
            get_user_model().objects.update(last_login=timezone.now())
            is_written.set()
            until(lambda: waiting() == 1)

    def sign_in():
        assert is_written.wait(PATIENCE)
        log_in(request, user, SignIn(timezone.now(), ["pwd"], ""))

    together(note_time, sign_in)
    assert request.session["_auth_user_id"] == str(user.pk)
