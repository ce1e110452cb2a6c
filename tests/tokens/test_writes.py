"""The final writes of a grant: what the driver gets, and how much of it."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection, models, transaction
from django.utils import timezone

from django_lazyauth.models import PendingAuthorization, ProviderIdentity, UpstreamGrant
from django_lazyauth.tokens.plain_models import columns_of
from django_lazyauth.tokens.writes import Update, Writes
from tests.support.journey import code_for

MODELS = [
    *apps.get_app_config("lazyauth").get_models(),
    *apps.get_app_config("oauth2_provider").get_models(),
]
VALUES = {
    models.BooleanField: True,
    models.CharField: "a text",
    models.DateTimeField: timezone.now(),
    models.TextField: "a text",
    models.UUIDField: uuid4(),
}


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_the_driver_gets_what_the_field_would_give_it(model):
    for column in columns_of(model, connection.alias).values():
        values = [None] if column.field.null else []
        values += [value for kind, value in VALUES.items() if isinstance(column.field, kind)]
        for value in values:
            expected = column.field.get_db_prep_save(value, connection)
            assert column.prepare(value, connection) == expected, column.field


@pytest.mark.django_db
def test_a_date_without_a_time_zone_is_left_to_its_field(settings):
    column = columns_of(UpstreamGrant, connection.alias)["expires_at"]
    with pytest.warns(RuntimeWarning, match="naive"):
        prepared = column.prepare(datetime(2026, 1, 1), connection)
    assert prepared != datetime(2026, 1, 1)


class OwnText(models.CharField):
    """A field of a host that prepares its values."""

    def get_prep_value(self, value):
        return f"prepared {value}"


@pytest.mark.django_db
def test_a_field_that_prepares_its_values_goes_on_doing_so(monkeypatch):
    field = ProviderIdentity._meta.get_field("name")
    monkeypatch.setattr(field, "__class__", OwnText)
    columns_of.cache_clear()
    try:
        assert (
            columns_of(ProviderIdentity, connection.alias)["name"].prepare("Ada", connection)
            == "prepared Ada"
        )
    finally:
        columns_of.cache_clear()


@pytest.mark.django_db
def test_null_and_the_empty_text_are_written_as_they_are(client_):
    code_for(client_)
    row = PendingAuthorization.objects.get()
    assert row.private != "" or row.nonce != ""
    values = {"private": "", "nonce": "", "asked_again_at": None, "redirect_uri": "https://%s.example/100%"}
    with transaction.atomic():
        Writes((Update(PendingAuthorization, values, {"session_id": row.pk}),)).run()
    row.refresh_from_db()
    assert {name: getattr(row, name) for name in values} == values
