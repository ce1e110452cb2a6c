"""The same races on a database that refuses a loser instead of letting it find nothing to change."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from django_lazyauth.models import (
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamGrant,
    UpstreamToken,
)
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault.tokens import UpstreamTokens
from tests.races.rows import assert_nothing_lives
from tests.races.test_endings import assert_answered, round_of
from tests.races.test_endings import assert_nothing_lives as assert_all_ended
from tests.races.test_refresh import refresh
from tests.races.test_returning import come_back_at_once, updating  # noqa: F401 - `updating` is a fixture
from tests.support.endings import race
from tests.support.journey import code_for, come_back, make_browser, post_form, redeem, start
from tests.support.processes import together
from tests.support.providers import BelievingProvider

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


VENDORS = {"postgresql", "mysql"}
ROUNDS = 4

POSTGRESQL = ["repeatable read", "serializable"]
#: The second is the default of MariaDB from 11.6 on: a change of a row that the transaction does not see
#: is refused.
MARIADB = {
    "repeatable read": "SET innodb_snapshot_isolation = OFF",
    "repeatable read, snapshots": "SET innodb_snapshot_isolation = ON",
    "serializable": "SET innodb_snapshot_isolation = OFF",
}


class Upstream(BelievingProvider):
    """Its upstream rotates at each refresh, takes a moment, and counts."""

    asked: ClassVar[list[str]] = []

    def refresh(self, bundle):
        self.asked.append(bundle.access_token)
        time.sleep(0.05)
        return UpstreamTokens(
            access_token=f"{bundle.access_token}+",
            refresh_token=f"{bundle.refresh_token}+",
            expires_at=timezone.now() + timedelta(hours=1),
        )


@pytest.fixture(autouse=True, params=sorted(MARIADB) if connection.vendor == "mysql" else POSTGRESQL)
def isolation(request, db):
    """Give every connection from now on this level, as an operator does."""
    yield from (_of_mariadb if connection.vendor == "mysql" else _of_postgresql)(request.param)


def _of_postgresql(level):
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    connection.close()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
    connection.close()


def _of_mariadb(level):
    options = connection.settings_dict["OPTIONS"]
    before = dict(options)
    options |= {"isolation_level": level.partition(",")[0], "init_command": MARIADB[level]}
    connection.close()
    yield
    options.clear()
    options.update(before)
    connection.close()


def test_the_level_is_in_force(isolation):
    """The other tests say something about it only then."""
    asked = "SELECT @@tx_isolation" if connection.vendor == "mysql" else "SHOW transaction_isolation"

    def level():
        with connection.cursor() as cursor:
            cursor.execute(asked)
            return cursor.fetchone()[0].lower().replace("-", " ")

    assert together(level, level) == [level()] * 2
    assert level() in {"repeatable read", "serializable"}


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
    """I9, I18: the others of that browser go on to where the flow stands, and the code is asked for once."""
    browser = make_browser()
    upstream = start(browser, client_)

    def same_browser():
        other = make_browser()
        other.cookies = browser.cookies
        return come_back(other, upstream, subject="ada")

    answers = together(*[same_browser] * 6)
    pending = PendingAuthorization.objects.get()
    assert pending.status == Status.AUTHENTICATED
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {
        (303, f"/authorize/{pending.pk}")
    }


def test_i11_a_session_is_revoked_by_all_who_ask_at_once(client_):
    """I11, I18."""
    tokens = redeem(client_, code_for(client_)).json()
    form = {"client_id": client_.client_id, "token": tokens["refresh_token"]}
    answers = together(*[partial(post_form, make_browser(), "/revoke_token", form)] * 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert_nothing_lives(PendingAuthorization.objects.get().session_id)


def test_i10_refreshes_at_once_have_one_successor(client_):
    """I10, I18: all get the answer of the first."""
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    answers = together(*[partial(refresh, client_, token)] * 8)
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.content for answer in answers}) == 1


def test_i11_a_refresh_that_meets_a_revocation_leaves_no_live_token(client_):
    """I11, I18."""
    for number in range(ROUNDS):
        tokens = redeem(client_, code_for(client_, subject=f"person{number}")).json()
        form = {"client_id": client_.client_id, "token": tokens["refresh_token"]}
        *refreshed, revoked = together(
            *[partial(refresh, client_, tokens["refresh_token"])] * 2,
            partial(post_form, make_browser(), "/revoke_token", form),
        )
        assert revoked.status_code == 200
        assert {answer.status_code for answer in refreshed} <= {200, 400}
        assert_nothing_lives(PendingAuthorization.objects.order_by("-pk")[0].session_id)


def test_all_who_ask_for_an_upstream_token_get_the_one_that_one_of_them_fetched(client_, lazyauth):
    """I18: the vault's row is leased by one of them, and its tokens are replaced once."""
    provider = {"class": f"{__name__}.Upstream"}
    lazyauth(PROVIDERS={"demo": provider, "other": provider})
    Upstream.asked.clear()
    redeem(client_, code_for(client_))
    kept = UpstreamToken.objects.get()
    UpstreamGrant.objects.update(expires_at=kept.created_at)

    def ask():
        return fresh_token(kept.session_id, "demo", user_id=kept.user_id, client_id=kept.client_id)

    answers = together(*[ask] * 6)
    assert len(Upstream.asked) == 1
    assert {answer.access_token for answer in answers} == {f"{Upstream.asked[0]}+"}
    assert UpstreamGrant.objects.get().version == 2


@pytest.mark.parametrize("end", ["delete_user_again", "end_all_again", "unlink_again"])
def test_i21_what_ends_while_it_is_used_is_ended(client_, lazyauth, end):
    """I11, I21: four processes, as at the usual level. See ``test_endings``."""
    demo = {"class": "tests.support.providers.RefreshingProvider"}
    lazyauth(PROVIDERS={"demo": demo, "other": demo})
    rounds = [round_of(client_, f"person{number}") for number in range(ROUNDS)]
    works = zip(*[work for _user, work in rounds], strict=True)
    assert_answered(race([["call", end, user.pk] for user, _work in rounds], *map(list, works)))
    assert_all_ended()


@pytest.mark.usefixtures("updating")
def test_user_account_and_groups_say_the_same_after_callbacks_at_once(client_):
    """Whoever is last sees what the others wrote, also where a transaction sees the rows of when it began."""
    come_back_at_once(client_, rounds=ROUNDS)
