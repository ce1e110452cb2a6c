"""Grants that their last session left wait here until their refresh token was revoked."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0016_upstream_logout'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='upstreamgrant',
            name='lazyauth_grant_state_known',
        ),
        migrations.AddField(
            model_name='upstreamgrant',
            name='attempts',
            field=models.PositiveSmallIntegerField(default=0, verbose_name='attempts to revoke'),
        ),
        migrations.AddField(
            model_name='upstreamgrant',
            name='is_withdrawn',
            field=models.BooleanField(default=False, help_text='The person left, and did not only sign out.', verbose_name='withdrawn'),
        ),
        migrations.AddField(
            model_name='upstreamgrant',
            name='next_attempt_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='next attempt at'),
        ),
        migrations.AddField(
            model_name='upstreamgrant',
            name='revocation',
            field=models.CharField(choices=[('grant', 'all that the person allowed there'), ('token', 'its own family'), ('none', 'nothing is revoked')], default='grant', max_length=8, verbose_name='revocation'),
        ),
        migrations.AlterField(
            model_name='upstreamgrant',
            name='state',
            field=models.CharField(choices=[('live', 'live'), ('dead', 'dead'), ('leaving', 'leaving')], default='live', max_length=8, verbose_name='state'),
        ),
        migrations.AddIndex(
            model_name='upstreamgrant',
            index=models.Index(condition=models.Q(('state', 'leaving')), fields=['next_attempt_at'], name='lazyauth_grant_leaving'),
        ),
        migrations.AddConstraint(
            model_name='upstreamgrant',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['live', 'dead', 'leaving'])), name='lazyauth_grant_state_known'),
        ),
        migrations.AddConstraint(
            model_name='upstreamgrant',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('next_attempt_at__isnull', False), ('state', 'leaving')), models.Q(models.Q(('state', 'leaving'), _negated=True), ('next_attempt_at__isnull', True)), _connector='OR'), name='lazyauth_grant_leaves_for_a_time'),
        ),
    ]
