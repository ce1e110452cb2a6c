"""Why a sign-in did not work, and a log of bounded size. What replaces an index is made before the old one goes."""

import django_lazyauth.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0027_pushed_requests'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='pendingauthorization',
            options={'verbose_name': 'sign-in', 'verbose_name_plural': 'sign-ins'},
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='failures',
            field=models.TextField(blank=True, db_default='', default='', editable=False, verbose_name='failures'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='log_slot',
            field=models.PositiveIntegerField(blank=True, editable=False, null=True, verbose_name='place in the log'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=32, verbose_name='reason'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='said_email',
            field=models.CharField(blank=True, db_default='', default='', max_length=256, verbose_name='address'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='said_subject',
            field=django_lazyauth.models.fields.ExactCharField(blank=True, db_default='', default='', max_length=255, verbose_name='subject at the provider'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(models.Q(('status', 'exchanged'), _negated=True), ('log_slot__isnull', True)), fields=['network', 'expires_at'], name='lazyauth_pending_count'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['session_id'], name='lazyauth_log_failed'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['reason', 'session_id'], name='lazyauth_log_reason'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('said_subject', ''), _negated=True), fields=['said_subject'], name='lazyauth_log_subject'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('said_email', ''), _negated=True), fields=['said_email'], name='lazyauth_log_email'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('status__in', ['exchanged', 'failed'])), fields=['provider', 'session_id'], name='lazyauth_log_provider'),
        ),
        migrations.AddIndex(
            model_name='provideridentity',
            index=models.Index(fields=['subject'], name='lazyauth_identity_subject'),
        ),
        migrations.AddIndex(
            model_name='provideridentity',
            index=models.Index(condition=models.Q(('email', ''), _negated=True), fields=['email'], name='lazyauth_identity_email'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.UniqueConstraint(condition=models.Q(('log_slot__isnull', False)), fields=('log_slot',), name='lazyauth_log_one_slot'),
        ),
        migrations.RemoveIndex(
            model_name='pendingauthorization',
            name='lazyauth_pending_open',
        ),
    ]
