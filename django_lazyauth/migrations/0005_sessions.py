# The client model is swappable in django-oauth-toolkit; its name is asked for, so that no host has to set it.

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from django_lazyauth.models.fields import cascade_at_once, client_model


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0004_sealed_successor'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency(client_model()),
    ]

    operations = [
        migrations.CreateModel(
            name='LogoutDelivery',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('session_id', models.UUIDField(unique=True, verbose_name='session')),
                ('subject', models.CharField(max_length=255, verbose_name='subject')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('delivered', 'delivered'), ('refused', 'refused by the client'), ('given_up', 'given up')], default='waiting', max_length=16, verbose_name='state')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('next_attempt_at', models.DateTimeField(blank=True, null=True, verbose_name='next attempt at')),
                ('last_error', models.CharField(blank=True, help_text='One word, or the HTTP status.', max_length=64, verbose_name='last error')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='updated at')),
            ],
            options={
                'verbose_name': 'logout delivery',
                'verbose_name_plural': 'logout deliveries',
            },
        ),
        migrations.CreateModel(
            name='ClientSession',
            fields=[
            ],
            options={
                'verbose_name': 'session',
                'verbose_name_plural': 'sessions',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('lazyauth.pendingauthorization',),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='subject_hint',
            field=models.CharField(blank=True, default='', help_text='Of the ID token that the client sent along: nobody else will do.', max_length=255, verbose_name='subject asked for'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='link_to',
            field=models.ForeignKey(blank=True, help_text='Who is signed in here and adds an account, instead of signing in with it.', null=True, on_delete=cascade_at_once, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='adds a way in for'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('link_to__isnull', True), ('status__in', ['requested', 'sent_upstream', 'failed']), _connector='OR'), name='lazyauth_pending_link_is_no_sign_in'),
        ),
        migrations.AddField(
            model_name='logoutdelivery',
            name='client',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=client_model(), verbose_name='client'),
        ),
        migrations.AddIndex(
            model_name='logoutdelivery',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['next_attempt_at'], name='lazyauth_logout_due'),
        ),
        migrations.AddIndex(
            model_name='logoutdelivery',
            index=models.Index(condition=models.Q(('state', 'waiting'), _negated=True), fields=['updated_at'], name='lazyauth_logout_age'),
        ),
        migrations.AddConstraint(
            model_name='logoutdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'delivered', 'refused', 'given_up'])), name='lazyauth_logout_state_known'),
        ),
        migrations.AddConstraint(
            model_name='logoutdelivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('next_attempt_at__isnull', False), ('state', 'waiting')), models.Q(models.Q(('state', 'waiting'), _negated=True), ('next_attempt_at__isnull', True)), _connector='OR'), name='lazyauth_logout_waits_for_a_time'),
        ),
        migrations.AddConstraint(
            model_name='logoutdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('subject', ''), _negated=True), name='lazyauth_logout_names_person'),
        ),
    ]
