"""What an exchange asks of the database, and that saving queries changes nothing else."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.db.transaction import TransactionManagementError
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.models import (
    ClientRegistration,
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    UpstreamToken,
)
from django_lazyauth.models.locked_code import lock_code
from django_lazyauth.tokens.writes import Insert, Writes
from tests.benchmarks.cost import counting
from tests.support.journey import code_for, make_browser, redeem

pytestmark = pytest.mark.django_db(transaction=True)

#: On PostgreSQL: the lock; user, identity, and grant with upstream tokens; the rest in one statement. Elsewhere each
#: row is a statement.
MOST_QUERIES = 5 if connection.vendor == "postgresql" else 11


def columns_of(instance):
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}


def test_an_exchange_that_writes_a_person_is_five_queries_and_one_commit(client_):
    """I3: user, identity, consent, upstream tokens and ours stand in one transaction."""
    code, browser = code_for(client_), make_browser()
    with counting(connection) as cost:
        answer = redeem(client_, code, browser=browser)
    assert answer.status_code == 200, answer.content
    assert get_user_model().objects.count() == 1
    assert ProviderIdentity.objects.count() == 1
    assert UpstreamToken.objects.count() == 1
    assert cost.queries <= MOST_QUERIES, cost.statements
    assert cost.commits == 1


def test_no_statement_of_an_exchange_is_too_long_for_the_driver_to_keep(client_):
    """psycopg keeps what it parsed of statements of 50 placeholders at most. A proof needs ten."""
    code, browser = code_for(client_), make_browser()
    with counting(connection) as cost:
        assert redeem(client_, code, browser=browser).status_code == 200
    assert max(statement.count("%s") for statement in cost.statements) <= 40


def test_an_exchange_of_a_self_registered_client_costs_no_query_more(client_, application):
    type(application).objects.update(registration_source="dcr")
    metadata = {"scope": "openid profile email"}
    ClientRegistration.objects.create(client=application, source="token", metadata=metadata)
    code, browser = code_for(client_), make_browser()
    with counting(connection) as cost:
        answer = redeem(client_, code, browser=browser)
    assert answer.status_code == 200, answer.content
    assert cost.queries <= MOST_QUERIES, cost.statements
    assert cost.commits == 1


def test_the_locked_row_and_what_comes_with_it_are_what_the_database_holds(client_):
    code = code_for(client_)
    stored = PendingAuthorization.objects.select_related("client__lazyauth_registration", "deferred").get()
    with transaction.atomic():
        locked = lock_code(code)
        with counting(connection) as cost:
            pairs = [
                (locked.pending, stored),
                (locked.pending.client, stored.client),
                (locked.pending.client.lazyauth_registration, stored.client.lazyauth_registration),
                (locked.deferred, stored.deferred),
            ]
            assert locked.user is None
        assert cost.queries == 0, "what comes with the row is read with it"
    assert [columns_of(ours) for ours, _ in pairs] == [columns_of(theirs) for _, theirs in pairs]
    assert locked.known_identity_id is None


def test_a_row_without_a_deferred_registration_is_locked_without_another_query(client_, lazyauth):
    lazyauth(REGISTRATION="immediate")
    code = code_for(client_)
    user = get_user_model().objects.get()
    with transaction.atomic():
        locked = lock_code(code)
        with counting(connection) as cost:
            assert locked.deferred is None
            assert columns_of(locked.user) == columns_of(user)
        assert cost.queries == 0


def test_a_code_is_locked_in_a_transaction_or_not_at_all(client_):
    with pytest.raises(TransactionManagementError):
        lock_code(code_for(client_))


def test_receivers_of_djangos_own_signals_hear_of_every_row(client_):
    heard = []

    def receiver(sender, instance, created, **kwargs):
        assert created
        assert columns_of(instance) == columns_of(sender.objects.get())
        heard.append(sender)

    models = [get_user_model(), ProviderIdentity, IDToken, AccessToken, RefreshToken]
    for model in models:
        post_save.connect(receiver, sender=model)
    try:
        assert redeem(client_, code_for(client_)).status_code == 200
    finally:
        for model in models:
            post_save.disconnect(receiver, sender=model)
    assert heard == models


def test_a_model_with_its_own_way_to_be_saved_keeps_it(client_, monkeypatch):
    """A host may have swapped the token models."""
    saved = []
    monkeypatch.setattr(IDToken, "save", lambda self, **kwargs: saved.append(kwargs), raising=False)
    with transaction.atomic():
        Writes((Insert(IDToken()),)).run()
    assert saved == [{"force_insert": True, "using": "default"}]


def test_nothing_waits_any_more_after_the_exchange_of_a_person_who_is_known(client_):
    for _ in range(2):
        assert redeem(client_, code_for(client_)).status_code == 200
        assert DeferredRegistration.objects.count() == 0
    assert get_user_model().objects.count() == 1
