"""The same races on a database that refuses a loser instead of letting it find nothing to change."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from django_lazyauth.models import PendingAuthorization, ProviderIdentity
from tests.races.rows import assert_nothing_lives
from tests.support.journey import code_for, come_back, make_browser, post_form, redeem, start
from tests.support.processes import together
from tests.support.providers import BelievingProvider

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True, params=["repeatable read", "serializable"])
def isolation(request, db):
    """Give every connection from now on this level, as an operator does."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{request.param}'")
    connection.close()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
    connection.close()


def test_i1_of_redemptions_of_one_code_one_is_answered(client_):
    """I1, I2, I18: the losers are refused, and no error of the database's is theirs."""
    code = code_for(client_)
    answers = together(*[partial(redeem, client_, code)] * 12)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 11}
    assert {answer.json().get("error") for answer in answers} == {None, "invalid_grant"}
    pending = PendingAuthorization.objects.get()
    assert pending.failed_attempts == 0
    assert len(BelievingProvider.finalized) >= 1
    assert_nothing_lives(pending.session_id)


def test_i5_codes_of_one_new_person_make_one_user(client_):
    """I5, I18."""
    codes = [code_for(client_) for _ in range(4)]
    answers = together(*[partial(redeem, client_, code) for code in codes])
    assert [answer.status_code for answer in answers] == [200] * 4
    assert (get_user_model().objects.count(), ProviderIdentity.objects.count()) == (1, 1)


def test_i9_of_callbacks_with_one_state_one_goes_on(client_):
    """I9, I18: the others get the page that they always get."""
    browser = make_browser()
    upstream = start(browser, client_)

    def same_browser():
        other = make_browser()
        other.cookies = browser.cookies
        return come_back(other, upstream, subject="ada")

    answers = together(*[same_browser] * 6)
    assert Counter(answer.status_code for answer in answers) == {303: 1, 400: 5}


def test_i11_a_session_is_revoked_by_all_who_ask_at_once(client_):
    """I11, I18."""
    tokens = redeem(client_, code_for(client_)).json()
    form = {"client_id": client_.client_id, "token": tokens["refresh_token"]}
    answers = together(*[partial(post_form, make_browser(), "/revoke_token", form)] * 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert_nothing_lives(PendingAuthorization.objects.get().session_id)
