"""One row for each refresh-token family of an upstream. No token is written: rows move when they are next renewed."""

import django.db.models.deletion
import django.utils.timezone
import django_lazyauth.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0014_provider_health'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='upstreamtoken',
            name='ticket',
            field=models.TextField(blank=True, null=True, verbose_name='sealed ticket'),
        ),
        migrations.CreateModel(
            name='UpstreamGrant',
            fields=[
                ('id', models.UUIDField(default=django_lazyauth.models.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('provider', django_lazyauth.models.fields.ExactCharField(max_length=257, verbose_name='provider')),
                ('upstream_client', django_lazyauth.models.fields.ExactCharField(blank=True, max_length=255, verbose_name='client id at the upstream')),
                ('subject', django_lazyauth.models.fields.ExactCharField(db_index=True, max_length=255, verbose_name='upstream subject')),
                ('scope_digest', models.CharField(max_length=64, verbose_name='digest of the granted scopes')),
                ('is_standing', models.BooleanField(default=False, help_text='It outlives the sign-in there, and sessions share it.', verbose_name='standing')),
                ('access_token', models.TextField(blank=True, verbose_name='sealed access token')),
                ('refresh_token', models.TextField(blank=True, verbose_name='sealed refresh token')),
                ('token_type', models.CharField(default='Bearer', max_length=32, verbose_name='token type')),
                ('scope', models.TextField(blank=True, verbose_name='scope')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='access token expires at')),
                ('refresh_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='refresh token expires at')),
                ('state', models.CharField(choices=[('live', 'live'), ('dead', 'dead')], default='live', max_length=8, verbose_name='state')),
                ('version', models.PositiveIntegerField(default=1, verbose_name='version')),
                ('lease', models.CharField(blank=True, max_length=64, verbose_name='lease')),
                ('lease_until', models.DateTimeField(blank=True, null=True, verbose_name='leased until')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='updated at')),
                ('user', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'upstream grant',
                'verbose_name_plural': 'upstream grants',
            },
        ),
        migrations.AddField(
            model_name='upstreamtoken',
            name='grant',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='lazyauth.upstreamgrant', verbose_name='grant'),
        ),
        migrations.AddConstraint(
            model_name='upstreamtoken',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('grant__isnull', True), ('ticket__isnull', True)), models.Q(('access_token', ''), ('expires_at__isnull', True), ('grant__isnull', False), ('refresh_expires_at__isnull', True), ('refresh_token', ''), ('ticket__isnull', False)), _connector='OR'), name='lazyauth_vault_tokens_once'),
        ),
        migrations.AddConstraint(
            model_name='upstreamgrant',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['live', 'dead'])), name='lazyauth_grant_state_known'),
        ),
        migrations.AddConstraint(
            model_name='upstreamgrant',
            constraint=models.CheckConstraint(condition=models.Q(('is_standing', False), models.Q(('refresh_token', ''), _negated=True), _connector='OR'), name='lazyauth_grant_standing_renews'),
        ),
    ]
