"""A grant whose person was never written waits to be revoked: what somebody allowed who did not complete a sign-in."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0023_written_fields'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='upstreamgrant',
            name='user',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AddConstraint(
            model_name='upstreamgrant',
            constraint=models.CheckConstraint(condition=models.Q(('user__isnull', False), ('state', 'leaving'), _connector='OR'), name='lazyauth_grant_has_a_person'),
        ),
    ]
