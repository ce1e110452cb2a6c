# The client model is swappable in django-oauth-toolkit; its name is asked for, so that no host has to set it.

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from django_lazyauth.models.fields import client_model


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency(client_model()),
    ]

    operations = [
        migrations.CreateModel(
            name='InitialAccessToken',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True, verbose_name='digest')),
                ('note', models.CharField(blank=True, help_text='Who it is for.', max_length=200, verbose_name='note')),
                ('max_uses', models.PositiveIntegerField(default=1, verbose_name='uses allowed')),
                ('uses', models.PositiveIntegerField(default=0, editable=False, verbose_name='uses so far')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('created_by', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='created by')),
            ],
            options={
                'verbose_name': 'initial access token',
                'verbose_name_plural': 'initial access tokens',
            },
        ),
        migrations.CreateModel(
            name='ClientRegistration',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('source', models.CharField(choices=[('open', 'open registration'), ('token', 'initial access token'), ('elsewhere', 'not by registration')], max_length=16, verbose_name='source')),
                ('metadata', models.JSONField(blank=True, default=dict, verbose_name='metadata')),
                ('token_digest', models.CharField(blank=True, max_length=64, verbose_name='digest of the registration token')),
                ('version', models.PositiveIntegerField(default=1, verbose_name='version')),
                ('repeat_key', models.CharField(blank=True, max_length=64, null=True, unique=True, verbose_name='digest of network and metadata')),
                ('network', models.CharField(blank=True, max_length=43, verbose_name='network')),
                ('slot', models.PositiveIntegerField(blank=True, null=True, unique=True, verbose_name='place among the unused')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires unless used by')),
                ('last_used_at', models.DateTimeField(blank=True, null=True, verbose_name='last used')),
                ('verified_at', models.DateTimeField(blank=True, null=True, verbose_name='verified at')),
                ('disabled_at', models.DateTimeField(blank=True, null=True, verbose_name='disabled at')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='registered at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='updated at')),
                ('client', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='lazyauth_registration', to=client_model(), verbose_name='client')),
                ('initial_access_token', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='registrations', to='lazyauth.initialaccesstoken', verbose_name='initial access token')),
            ],
            options={
                'verbose_name': 'client registration',
                'verbose_name_plural': 'client registrations',
            },
        ),
        migrations.AddConstraint(
            model_name='initialaccesstoken',
            constraint=models.CheckConstraint(condition=models.Q(('max_uses__gte', 1), ('uses__lte', models.F('max_uses'))), name='lazyauth_initial_token_uses'),
        ),
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(condition=models.Q(('slot__isnull', False)), fields=['id'], name='lazyauth_client_unused'),
        ),
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='lazyauth_client_expiry'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.CheckConstraint(condition=models.Q(('source__in', ['open', 'token', 'elsewhere'])), name='lazyauth_client_source_known'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.CheckConstraint(condition=models.Q(('last_used_at__isnull', True), models.Q(('expires_at__isnull', True), ('slot__isnull', True)), _connector='OR'), name='lazyauth_client_used_never_expires'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('source', 'open'), _negated=True), models.Q(('expires_at__isnull', True), ('slot__isnull', True)), models.Q(('expires_at__isnull', False), ('slot__isnull', False)), _connector='OR'), name='lazyauth_client_unused_counts'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('source', 'elsewhere'), _negated=True), models.Q(('expires_at__isnull', True), ('repeat_key__isnull', True), ('slot__isnull', True), ('token_digest', '')), _connector='OR'), name='lazyauth_client_token_needs_registration'),
        ),
    ]
