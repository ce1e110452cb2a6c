"""Indexes that the queries need, and no others. What replaces an index is made before the old one goes.

On a large PostgreSQL table each index takes some seconds, in which sign-ins wait.
"""

import django.db.models.deletion
import django_lazyauth.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0011_flow_answer'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='SweepPosition',
            fields=[
                ('table', models.CharField(max_length=128, primary_key=True, serialize=False)),
                ('after', models.CharField(max_length=255)),
            ],
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('status', 'exchanged'), _negated=True), fields=['network', 'expires_at'], name='lazyauth_pending_open'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(fields=['expires_at'], name='lazyauth_pending_expiry'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('is_deferred', True), ('resumed_at__isnull', True), ('status', 'exchanged')), fields=['binding_digest'], name='lazyauth_pending_resume'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('user__isnull', False)), fields=['user'], name='lazyauth_pending_user'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(condition=models.Q(('link_to__isnull', False)), fields=['link_to'], name='lazyauth_pending_link_to'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.UniqueConstraint(fields=('repeat_key',), name='lazyauth_client_one_repeat'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.UniqueConstraint(fields=('state_digest',), name='lazyauth_pending_one_state'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.UniqueConstraint(fields=('code_digest',), name='lazyauth_pending_one_code'),
        ),
        migrations.AddConstraint(
            model_name='sealedsuccessor',
            constraint=models.UniqueConstraint(fields=('token_digest',), name='lazyauth_successor_one_a_use'),
        ),
        migrations.AlterField(
            model_name='clientregistration',
            name='repeat_key',
            field=models.CharField(blank=True, max_length=64, null=True, verbose_name='digest of network and metadata'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='pendingauthorization',
            name='binding_digest',
            field=models.CharField(max_length=64, verbose_name='binding digest'),
        ),
        migrations.AlterField(
            model_name='pendingauthorization',
            name='code_digest',
            field=models.CharField(blank=True, max_length=64, null=True, verbose_name='code digest'),
        ),
        migrations.AlterField(
            model_name='pendingauthorization',
            name='link_to',
            field=models.ForeignKey(blank=True, db_index=False, help_text='Who is signed in here and adds an account, instead of signing in with it.', null=True, on_delete=django_lazyauth.models.fields.cascade_at_once, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='adds a way in for'),
        ),
        migrations.AlterField(
            model_name='pendingauthorization',
            name='state_digest',
            field=models.CharField(blank=True, max_length=64, null=True, verbose_name='state digest'),
        ),
        migrations.AlterField(
            model_name='pendingauthorization',
            name='user',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django_lazyauth.models.fields.cascade_at_once, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='sealedsuccessor',
            name='token_digest',
            field=models.CharField(editable=False, max_length=64, verbose_name='digest of the refresh token that was used'),
        ),
        migrations.RemoveIndex(
            model_name='pendingauthorization',
            name='lazyauth_pending_live',
        ),
        migrations.RemoveIndex(
            model_name='pendingauthorization',
            name='lazyauth_pending_network',
        ),
    ]
