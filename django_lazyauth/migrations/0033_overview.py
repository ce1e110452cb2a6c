"""When periodic tasks ran last, and indexes for what operators look at first."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0032_ends_of_sessions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PeriodicRun',
            fields=[
                ('name', models.CharField(max_length=64, primary_key=True, serialize=False, verbose_name='task')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='finished at')),
                ('error', models.CharField(blank=True, max_length=128, verbose_name='class of the error')),
            ],
            options={
                'verbose_name': 'periodic run',
                'verbose_name_plural': 'periodic runs',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Overview',
            fields=[
            ],
            options={
                'verbose_name': 'overview',
                'verbose_name_plural': ' Overview',
                'proxy': True,
                'default_permissions': ('view',),
                'indexes': [],
                'constraints': [],
            },
            bases=('lazyauth.providerkeyset',),
        ),
        migrations.AddIndex(
            model_name='logoutdelivery',
            index=models.Index(condition=models.Q(('state__in', ['refused', 'given_up'])), fields=['state', 'id'], name='lazyauth_logout_undelivered'),
        ),
        migrations.AddIndex(
            model_name='upstreamgrant',
            index=models.Index(condition=models.Q(('state', 'live'), _negated=True), fields=['state', 'id'], name='lazyauth_grant_not_live'),
        ),
    ]
