"""Many codes of one person, and somebody else who is faster: one user, and nobody is merged with anybody."""

from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from oauth2_provider.models import RefreshToken

from django_lazyauth.models import (
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
)
from django_lazyauth.sign_in.deferred import open_deferred
from django_lazyauth.users import UserResolver, username_for
from tests.races.rows import NOTHING, each, rows
from tests.support.journey import code_for, come_back, get, make_browser, redeem, start
from tests.support.processes import together, until
from tests.support.providers import BelievingProvider

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

User = get_user_model()


class RandomNames(UserResolver):
    """Names that never collide, so that only (provider, subject) can."""

    def fields(self, identity):
        return super().fields(identity) | {User.USERNAME_FIELD: PendingAuthorization().pk.hex}


def sessions():
    return set(PendingAuthorization.objects.values_list("session_id", flat=True))


@pytest.mark.parametrize("resolver", ["django_lazyauth.users.UserResolver", f"{__name__}.RandomNames"])
def test_i5_codes_of_one_new_person_redeemed_at_once_make_one_user(client_, lazyauth, resolver):
    """I5: one user, one identity, one consent; as many sessions as codes, each with its own tokens."""
    lazyauth(USER_RESOLVER=resolver)
    for round_number in range(1, 6):
        codes = [code_for(client_, subject=f"person{round_number}") for _ in range(4)]
        answers = together(*[partial(redeem, client_, code) for code in codes])
        assert [answer.status_code for answer in answers] == [200] * 4, [each.content for each in answers]
        tokens = 4 * round_number
        assert rows() == each(round_number, vault=tokens, access=tokens, refresh=tokens, id_tokens=tokens)
    assert set(RefreshToken.objects.values_list("token_family", flat=True)) == sessions()
    assert set(UpstreamToken.objects.values_list("session_id", flat=True)) == sessions()
    assert not DeferredRegistration.objects.exists()
    assert not PendingAuthorization.objects.exclude(failed_attempts=0).exists()


@pytest.mark.parametrize("resolver", ["django_lazyauth.users.UserResolver", f"{__name__}.RandomNames"])
def test_i5_a_code_that_meets_the_uncommitted_user_of_another_finds_that_user(
    client_, lazyauth, resolver, waiting
):
    """I5: both saw nobody; the second runs into the first one's row, waits, and tries again."""
    lazyauth(USER_RESOLVER=resolver)
    codes = [code_for(client_), code_for(client_)]
    inside = []

    def wait_for_the_second():
        inside.append(True)
        if len(inside) == 1:
            until(lambda: waiting() == 1)

    def come_second():
        until(lambda: inside)
        return redeem(client_, codes[1])

    BelievingProvider.before_finalize.append(wait_for_the_second)
    answers = together(partial(redeem, client_, codes[0]), come_second)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert rows() == each(2, users=1, identities=1, consents=1)
    subjects = {_subject(answer.json()) for answer in answers}
    assert subjects == {str(User.objects.get().pk)}


def _subject(body):
    info = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {body['access_token']}"})
    return info.json()["sub"]


def test_i5_immediate_callbacks_of_one_new_person_at_once_make_one_user(client_, lazyauth):
    """I5 where users are written in the callback."""
    lazyauth(REGISTRATION="immediate")
    for number in range(5):
        browsers = [make_browser() for _ in range(4)]
        upstream = [start(browser, client_) for browser in browsers]
        answers = together(
            *[
                partial(come_back, browser, redirect, subject=f"person{number}")
                for browser, redirect in zip(browsers, upstream, strict=True)
            ]
        )
        assert [answer.status_code for answer in answers] == [303] * 4
        assert rows()["users"] == rows()["identities"] == number + 1


# -- somebody was faster -----------------------------------------------------------------------------------


def deferred_username():
    return username_for(open_deferred(DeferredRegistration.objects.get()).identity)


def assert_refused_for_good(answer):
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert "exists already" in answer.json()["error_description"]
    assert not DeferredRegistration.objects.exists()
    assert PendingAuthorization.objects.get().status == Status.FAILED
    assert rows() == NOTHING | {"users": 1}


def test_a_user_name_taken_in_between_is_told_and_nobody_is_merged(client_):
    """Spec 1: invalid_grant with a description, the deferred row is discarded; I5, I6."""
    code = code_for(client_)
    User.objects.create(username=deferred_username(), email="ada@people.example")
    assert_refused_for_good(redeem(client_, code))
    assert redeem(client_, code).json()["error"] == "invalid_grant"
    assert BelievingProvider.finalized == []


@pytest.fixture
def unique_addresses(transactional_db):
    """A host whose users have unique e-mail addresses."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX one_address ON auth_user (lower(email)) WHERE email <> ''")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX one_address")


@pytest.mark.usefixtures("unique_addresses")
def test_an_address_taken_in_between_is_told_and_nobody_is_merged(client_):
    """The same for a unique e-mail address."""
    code = code_for(client_)
    User.objects.create(username="somebody-else", email="Ada@People.example")
    assert_refused_for_good(redeem(client_, code))
    assert User.objects.get().username == "somebody-else"


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "rolled back"])
def test_a_user_name_that_is_being_taken_decides_the_exchange(client_, waiting, committed):
    """The other registration is still open when the code comes: the exchange waits for how it ends."""
    code, username = code_for(client_), deferred_username()
    inserted = []

    def register_elsewhere():
        with transaction.atomic():
            User.objects.create(username=username)
            inserted.append(True)
            until(lambda: waiting() == 1)
            transaction.set_rollback(not committed)

    def exchange():
        until(lambda: inserted)
        return redeem(client_, code)

    _, answer = together(register_elsewhere, exchange)
    if committed:
        assert_refused_for_good(answer)
    else:
        assert answer.status_code == 200
        assert rows() == each(1)


def test_parallel_redemptions_of_a_code_whose_name_is_taken_are_all_refused(client_):
    """No deadlock between those who discard the registration and those who try it."""
    for number in range(5):
        code = code_for(client_, subject=f"person{number}")
        User.objects.create(username=deferred_username())
        answers = together(*[partial(redeem, client_, code)] * 8)
        assert {answer.status_code for answer in answers} == {400}
        assert {answer.json()["error"] for answer in answers} == {"invalid_grant"}
        assert not DeferredRegistration.objects.exists()
        assert PendingAuthorization.objects.get().failed_attempts == 0
        PendingAuthorization.objects.all().delete()
    assert not ProviderIdentity.objects.exists()


def test_i5_callbacks_of_one_person_of_an_earlier_subject_at_once_find_one_user(client_, lazyauth):
    """I5: one of them moves the identity, and the others find it moved."""
    BelievingProvider.legacy_subjects = ("old-7",)
    try:
        for number in range(1, 6):
            user = User.objects.create_user(f"user{number}")
            ProviderIdentity.objects.create(user=user, provider="demo", subject="old-7")
            codes = []

            def come(subject=f"new-{number}", codes=codes):
                codes.append(code_for(client_, subject=subject))

            together(*[come] * 4)
            assert len(codes) == 4
            assert list(ProviderIdentity.objects.filter(user=user).values_list("subject", flat=True)) == [
                f"new-{number}"
            ]
        assert User.objects.count() == 5
    finally:
        BelievingProvider.legacy_subjects = ()
