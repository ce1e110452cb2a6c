"""Indexes for what operators look for on a large site.

Those on the table of django-oauth-toolkit's client model, or the host's, are for PostgreSQL. Its own migrations know
nothing of them, and they go with the table.
"""

from django.db import migrations, models

from django_lazyauth.models.fields import client_model

#: Name → expressions and the column that they need. ``{pk}`` is the primary key.
ON_CLIENTS = {
    'lazyauth_client_named': ('UPPER("name"::text) text_pattern_ops', 'name'),
    'lazyauth_client_of_source': ('"registration_source", {pk}', 'registration_source'),
    'lazyauth_client_of_type': ('"client_type", {pk}', 'client_type'),
}


def _columns(apps, connection):
    """Return the columns of the table of clients. A host's own may be made later, or have others."""
    table = apps.get_model(client_model())._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor != 'postgresql' or table not in connection.introspection.table_names(cursor):
            return set()
        return {column.name for column in connection.introspection.get_table_description(cursor, table)}


def add(apps, schema_editor):
    meta, quote = apps.get_model(client_model())._meta, schema_editor.quote_name
    known = _columns(apps, schema_editor.connection)
    for name, (expressions, column) in ON_CLIENTS.items():
        if column in known:
            expressions = expressions.format(pk=quote(meta.pk.column))
            schema_editor.execute(f'CREATE INDEX IF NOT EXISTS {name} ON {quote(meta.db_table)} ({expressions})')


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == 'postgresql':
        for name in ON_CLIENTS:
            schema_editor.execute(f'DROP INDEX IF EXISTS {name}')


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0036_client_logo'),
        migrations.swappable_dependency(client_model()),
        ('oauth2_provider', '0019_application_registration_source'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(condition=models.Q(('verified_at__isnull', False)), fields=['verified_at'], name='lazyauth_client_verified'),
        ),
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(condition=models.Q(('disabled_at__isnull', False)), fields=['disabled_at'], name='lazyauth_client_disabled'),
        ),
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(condition=models.Q(('network', ''), _negated=True), fields=['network'], name='lazyauth_client_network'),
        ),
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(condition=models.Q(('last_used_at__isnull', False)), fields=['last_used_at'], name='lazyauth_client_used'),
        ),
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(condition=models.Q(('last_used_at__isnull', True)), fields=['client'], name='lazyauth_client_never'),
        ),
        migrations.AddIndex(
            model_name='initialaccesstoken',
            index=models.Index(condition=models.Q(('note', ''), _negated=True), fields=['note'], name='lazyauth_initial_note'),
        ),
        migrations.AddIndex(
            model_name='deviceauthorization',
            index=models.Index(fields=['status', 'id'], name='lazyauth_device_status'),
        ),
        migrations.AddIndex(
            model_name='upstreamgrant',
            index=models.Index(condition=models.Q(('state', 'live'), _negated=True), fields=['provider', 'id'], name='lazyauth_grant_ended_at'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('grant', 'device')), fields=['session_id'], name='lazyauth_log_device'),
        ),
        migrations.RunPython(add, remove),
    ]
