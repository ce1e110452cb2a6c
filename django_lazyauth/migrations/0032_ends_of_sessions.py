"""All sessions of a person, a client or a provider end as a job; each act of operators has a permission."""

import django.db.models.deletion
import django.utils.timezone
import django_lazyauth.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0031_agent'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='clientregistration',
            options={'permissions': [('verify_client', 'Can verify a client'), ('disable_client', 'Can disable and enable a client'), ('renew_client_secret', 'Can make a new secret for a client'), ('fetch_client_keys', 'Can fetch the keys of a client')], 'verbose_name': 'client registration', 'verbose_name_plural': 'client registrations'},
        ),
        migrations.AlterModelOptions(
            name='clientsession',
            options={'permissions': [('end_clientsession', 'Can end a session'), ('end_all_clientsession', 'Can end all sessions of a person, a client or a provider')], 'verbose_name': 'session', 'verbose_name_plural': 'sessions'},
        ),
        migrations.AlterModelOptions(
            name='logoutdelivery',
            options={'permissions': [('retry_logoutdelivery', 'Can have a logout delivered again')], 'verbose_name': 'logout delivery', 'verbose_name_plural': 'logout deliveries'},
        ),
        migrations.AlterModelOptions(
            name='providerkeyset',
            options={'permissions': [('refresh_providerkeyset', 'Can fetch keys and metadata of a provider'), ('test_providerkeyset', 'Can try a provider')], 'verbose_name': 'provider', 'verbose_name_plural': 'providers'},
        ),
        migrations.CreateModel(
            name='EndingJob',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('person', 'person'), ('client', 'client'), ('provider', 'provider')], max_length=16, verbose_name='kind')),
                ('target', django_lazyauth.models.fields.ExactCharField(max_length=257, verbose_name='of')),
                ('label', models.CharField(blank=True, max_length=255, verbose_name='name')),
                ('found', models.PositiveIntegerField(default=0, verbose_name='sessions found')),
                ('ended', models.PositiveIntegerField(default=0, verbose_name='sessions ended')),
                ('cursor', models.CharField(blank=True, editable=False, max_length=64, verbose_name='cursor')),
                ('reason', models.CharField(blank=True, max_length=255, verbose_name='why')),
                ('lease', models.CharField(blank=True, editable=False, max_length=64, verbose_name='lease')),
                ('claimed_until', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='claimed until')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='began at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='last batch at')),
                ('finished_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='finished at')),
                ('started_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='started by')),
            ],
            options={
                'verbose_name': 'end of sessions',
                'verbose_name_plural': 'ends of sessions',
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('finished_at__isnull', True)), fields=['id'], name='lazyauth_ending_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['person', 'client', 'provider'])), name='lazyauth_ending_kind_known')],
            },
        ),
    ]
