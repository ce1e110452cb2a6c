"""What a refresh asks of the database, and that saving queries changes nothing else."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.db.models.signals import post_delete
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import FamilyGrant, PendingAuthorization, SealedSuccessor
from django_lazyauth.tokens import refresh
from django_lazyauth.tokens.writes import LostRace, Writes
from tests.benchmarks.cost import counting
from tests.grants.test_exchange_cost import columns_of
from tests.grants.test_rotation import refresh_form
from tests.support.journey import make_browser, post_form, redeem
from tests.support.recorded import code_for

pytestmark = pytest.mark.django_db(transaction=True)


def count(client, token):
    """Return what a refresh costs, and what it was told."""
    browser, form = make_browser(), refresh_form(client, token)
    with counting(connection) as cost:
        answer = post_form(browser, "/token", form)
    assert answer.status_code == 200, answer.content
    return cost, answer.json()["refresh_token"]


#: Scope → most queries on PostgreSQL, and with the ORM. The address of the user is looked up where ``email`` is asked.
MOST_QUERIES = {"openid": (2, 10), "openid email": (3, 11), "profile": (2, 9)}


@pytest.mark.parametrize("scope", MOST_QUERIES)
def test_a_refresh_is_two_queries_and_one_commit(client_, scope):
    """The lock, with everything that stands behind the token; and one statement that writes. One transaction."""
    on_postgresql, by_orm = MOST_QUERIES[scope]
    most = on_postgresql if connection.vendor == "postgresql" else by_orm
    token = redeem(client_, code_for(client_, scope=scope)).json()["refresh_token"]
    for _ in range(3):
        cost, token = count(client_, token)
        assert cost.queries <= most, cost.statements
        assert cost.commits == 1
        assert SealedSuccessor.objects.filter(expires_at__isnull=False).exists()


def test_a_retry_is_three_queries_and_writes_nothing(client_):
    """The lock, what was kept, and whether the family lives."""
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    count(client_, token)
    cost, _ = count(client_, token)
    assert cost.queries == 3, cost.statements
    assert {statement.split()[0] for statement in cost.statements} == {"SELECT"}


def test_the_first_use_of_a_session_of_the_toolkit_costs_no_query_more(client_):
    """What it finds is written down as the grant, in the same statement."""
    token = redeem(client_, code_for(client_, scope="profile")).json()["refresh_token"]
    PendingAuthorization.objects.all().delete()
    cost, _ = count(client_, token)
    on_postgresql, by_orm = MOST_QUERIES["profile"]
    assert cost.queries <= (on_postgresql if connection.vendor == "postgresql" else by_orm + 1), (
        cost.statements
    )
    assert FamilyGrant.objects.get().scope == "profile"


def test_no_listener_to_deletes_hears_of_a_refresh(client_):
    """RFC 6749 §6: the access token that is replaced stays good until it expires."""
    token, heard = redeem(client_, code_for(client_)).json()["refresh_token"], []

    def receive(sender, instance, **kwargs):
        heard.append(instance.pk)

    post_delete.connect(receive, sender=AccessToken)
    try:
        count(client_, token)
    finally:
        post_delete.disconnect(receive, sender=AccessToken)
    assert heard == []
    assert AccessToken.objects.count() == 2


def test_the_locked_row_and_what_comes_with_it_are_what_the_database_holds(client_):
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    stored = RefreshToken.objects.select_related("access_token", "user", "application").get()
    with transaction.atomic():
        locked = refresh.lock(token)
        with counting(connection) as cost:
            row = locked.row
            pairs = [
                (row, stored),
                (row.access_token, stored.access_token),
                (row.user, stored.user),
                (row.application, stored.application),
            ]
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
    with transaction.atomic():
        Writes((refresh.spend(first, timezone.now()),)).run()
    with pytest.raises(LostRace), transaction.atomic():
        Writes((refresh.spend(second, timezone.now()),)).run()
    assert RefreshToken.objects.get().revoked == first.revoked


def test_a_swapped_model_with_its_own_way_to_be_saved_keeps_it(client_, monkeypatch):
    token = redeem(client_, code_for(client_)).json()["refresh_token"]
    saved = []

    def save(self, **kwargs):
        saved.append(kwargs)
        super(RefreshToken, self).save(**kwargs)

    monkeypatch.setattr(RefreshToken, "save", save, raising=False)
    with transaction.atomic():
        Writes((refresh.spend(refresh.find(token), timezone.now()),)).run()
    assert [set(kwargs["update_fields"]) for kwargs in saved] == [{"revoked", "token_family", "updated"}]
