"""What the product uses of Django that its documentation does not promise: one test per use."""

from __future__ import annotations

import io

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core.checks.registry import registry
from django.core.management.base import OutputWrapper
from django.db import connection, models
from django.test.utils import isolate_apps
from django.utils.functional import SimpleLazyObject, empty
from oauth2_provider.models import get_application_model

from django_lazyauth.models import ClientRegistration
from django_lazyauth.toolkit.stock_checks import check_what_is_mounted, validate_bcp_configuration


def test_the_admin_site_names_the_class_of_each_model():
    """``toolkit/admin.py``: our list of clients stands in for DOT's, and not for a host's own."""
    assert isinstance(admin.site._registry[get_user_model()], admin.ModelAdmin)
    assert admin.site._registry.get(models.Model) is None


@pytest.mark.django_db
def test_a_compiler_makes_sql_whose_columns_have_names_of_their_own():
    """``models/prepared_select.py``: the SQL is kept, and stands in another SELECT."""
    rows = ContentType.objects.filter(model="asked for").values_list("pk", "model")
    compiler = rows.query.get_compiler("default")
    sql, parameters = compiler.as_sql(with_col_aliases=True)
    assert list(parameters) == ["asked for"]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT this.* FROM ({sql}) this", ["contenttype"])
        assert [row[1] for row in cursor.fetchall()] == ["contenttype"]


@pytest.mark.django_db
def test_a_compiler_converts_what_the_driver_returns():
    """``models/prepared_select.py``: fields get their own values, as from a query set."""
    compiler = ClientRegistration.objects.values_list("pk", "metadata").query.get_compiler("default")
    compiler.as_sql(with_col_aliases=True)
    expressions = [expression for expression, *_ in compiler.select]
    assert len(expressions) == 2
    converters = compiler.get_converters(expressions)
    assert list(converters) == [1]
    assert [*compiler.apply_converters([[7, '{"a": 1}']], converters)] == [[7, {"a": 1}]]


def test_a_compiler_skips_the_columns_that_need_no_converter():
    """``models/prepared_select.py`` puts ``None`` in their place."""
    compiler = ClientRegistration.objects.values_list("pk").query.get_compiler("default")
    assert compiler.get_converters([None, None]) == {}


@pytest.mark.parametrize("name", ["client", "lazyauth_registration"], ids=["forward", "backward"])
def test_a_relation_gives_the_object_that_was_put_into_its_cache(name):
    """``models/prepared_select.py``: what one query loaded costs no second one."""
    client, registration = get_application_model()(), ClientRegistration()
    instance, other = (registration, client) if name == "client" else (client, registration)
    type(instance)._meta.get_field(name).set_cached_value(instance, other)
    assert getattr(instance, name) is other


@isolate_apps("tests")
def test_a_model_names_generic_relations_among_its_private_fields():
    """``tokens/writes.py``: rows that Django would look for are not deleted by key alone."""

    class Note(models.Model):  # noqa: DJ008 - nothing shows it
        content_type = models.ForeignKey(ContentType, models.CASCADE)
        object_id = models.IntegerField()
        about = GenericForeignKey()

        class Meta:
            app_label = "tests"

    class Noted(models.Model):  # noqa: DJ008 - the same
        notes = GenericRelation(Note)

        class Meta:
            app_label = "tests"

    private = Noted._meta.private_fields
    assert [hasattr(field, "bulk_related_objects") for field in private] == [True]


@pytest.mark.parametrize("feature", ["has_select_for_update_of", "has_select_for_update_skip_locked"])
def test_a_connection_says_how_it_can_lock_rows(feature):
    """``tokens/refresh.py``, ``authorize/quota.py``, ``upkeep/sweep.py``."""
    assert isinstance(getattr(connection.features, feature), bool)


def test_a_lazy_object_is_empty_until_it_is_asked():
    """``api/local_issuer.py``: the key of a user who was not loaded costs no query."""
    lazy = SimpleLazyObject(lambda: "loaded")
    assert lazy._wrapped is empty
    assert str(lazy) == "loaded"
    assert lazy._wrapped == "loaded"


def test_a_command_writes_to_a_stream_that_it_wraps():
    """``legacy/progress.py`` asks the stream whether a person looks at it."""
    stream = io.StringIO()
    assert OutputWrapper(stream)._out is stream


def test_a_check_of_another_app_can_be_taken_off_the_register():
    """``toolkit/stock_checks.py`` runs the one of django-oauth-toolkit through ours."""
    assert validate_bcp_configuration not in registry.deployment_checks
    assert check_what_is_mounted in registry.deployment_checks
