# Moves rows that stand in the old table already; `manage.py migrate_legacy_tokens` moves what is elsewhere, what was
# left, and what comes later. Rows that cannot be moved stay, and the system check and the readiness endpoint say so.

import logging

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import migrations

from django_lazyauth.models.fields import client_model


def move(apps, schema_editor):
    from django_lazyauth.legacy.migrate import migrate_table
    from django_lazyauth.legacy.report import MigrationStopped

    logger = logging.getLogger("django_lazyauth.migration")
    try:
        report = migrate_table(apps, schema_editor.connection.alias)
    except (MigrationStopped, ImproperlyConfigured) as error:
        logger.warning("legacy rows were not moved: %s Run manage.py migrate_legacy_tokens.", error)
        return
    if report.failed or report.remaining:
        logger.warning(
            "%d legacy rows were not moved. Run manage.py migrate_legacy_tokens.", report.remaining or report.failed
        )


class Migration(migrations.Migration):

    # Each batch commits by itself, as with the command: a million rows are no single transaction.
    atomic = False

    dependencies = [
        ('lazyauth', '0006_legacy_upstream_token'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency(client_model()),
    ]

    # Backwards there is nothing to undo: what was moved stays good for this version, and forwards again finds it.
    operations = [migrations.RunPython(move, migrations.RunPython.noop)]
