"""What a refresh asks of the database, and that saving queries changes nothing else."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import SealedSuccessor
from django_lazyauth.tokens import refresh
from tests.benchmarks.cost import counting
from tests.grants.test_exchange_cost import columns_of
from tests.grants.test_rotation import refresh_form
from tests.support.journey import code_for, make_browser, post_form, redeem

pytestmark = pytest.mark.django_db(transaction=True)


def count(client, token):
    """Return what a refresh costs, and what it was told."""
    browser, form = make_browser(), refresh_form(client, token)
    with counting(connection) as cost:
        answer = post_form(browser, "/token", form)
    assert answer.status_code == 200, answer.content
    return cost, answer.json()["refresh_token"]


@pytest.mark.parametrize(("scope", "most"), [("openid", 10), ("openid email", 11), ("profile", 8)])
def test_a_refresh_is_ten_queries_and_one_commit(client_, scope, most):
    """With an ID token: the client, the lock, how the person signed in; seven that write. All in one transaction."""
    token = redeem(client_, code_for(client_, scope=scope)).json()["refresh_token"]
    for _ in range(3):
        cost, token = count(client_, token)
        assert cost.queries <= most, cost.statements
        assert cost.commits == 1
        assert SealedSuccessor.objects.filter(expires_at__isnull=False).exists()


def test_a_retry_is_four_queries_and_writes_nothing(client_):
    """The client, the lock, what was kept, and whether the family lives."""
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    count(client_, token)
    cost, _ = count(client_, token)
    assert cost.queries == 4, cost.statements
    assert {statement.split()[0] for statement in cost.statements} == {"SELECT"}


def test_an_access_token_goes_in_one_statement_where_only_its_refresh_token_points_to_it(client_):
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    old = AccessToken.objects.get()
    cost, _ = count(client_, token)
    table = AccessToken._meta.db_table
    touching = [statement for statement in cost.statements if table in statement.partition(" WHERE ")[0]]
    assert [statement.split()[0] for statement in touching] == ["SELECT", "DELETE", "INSERT"]
    assert not AccessToken.objects.filter(pk=old.pk).exists()


def test_the_locked_row_and_what_comes_with_it_are_what_the_database_holds(client_):
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    stored = RefreshToken.objects.select_related("access_token", "user").get()
    with transaction.atomic():
        locked = refresh.lock(token)
        with counting(connection) as cost:
            pairs = [(locked, stored), (locked.access_token, stored.access_token), (locked.user, stored.user)]
        assert cost.queries == 0, "what comes with the row is read with it"
        assert [columns_of(ours) for ours, _ in pairs] == [columns_of(theirs) for _, theirs in pairs]
        assert refresh.lock("unknown") is None


def test_a_refresh_token_is_locked_in_a_transaction_or_not_at_all(client_):
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    with pytest.raises(TransactionManagementError):
        refresh.lock(token)


def test_a_refresh_token_is_spent_once(client_):
    """Where a database cannot lock rows, the UPDATE decides."""
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    first, second = refresh.find(token), refresh.find(token)
    for row in (first, second):
        row._state.db = "default"
    assert refresh.spend(first, timezone.now()) is True
    assert refresh.spend(second, timezone.now()) is False
    assert RefreshToken.objects.get().revoked == first.revoked


def test_a_swapped_model_with_its_own_way_to_be_saved_keeps_it(client_, monkeypatch):
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    saved = []

    def save(self, **kwargs):
        saved.append(kwargs)
        super(RefreshToken, self).save(**kwargs)

    monkeypatch.setattr(RefreshToken, "save", save, raising=False)
    row = refresh.find(token)
    assert refresh.spend(row, timezone.now()) is True
    assert [set(kwargs["update_fields"]) for kwargs in saved] == [
        {"access_token", "revoked", "token_family", "updated"}
    ]
