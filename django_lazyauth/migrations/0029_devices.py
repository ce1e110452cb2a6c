import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from django_lazyauth.models.fields import cascade_at_once, client_model


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0028_sign_in_log'),
        migrations.swappable_dependency(client_model()),
    ]

    operations = [
        migrations.CreateModel(
            name='DeviceAuthorization',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('waiting', 'waiting for a person'), ('claimed', 'claimed by a browser'), ('approved', 'approved'), ('redeemed', 'redeemed'), ('denied', 'denied'), ('ended', 'ended')], default='waiting', max_length=16, verbose_name='status')),
                ('device_digest', models.CharField(editable=False, max_length=64, verbose_name='digest of the device code')),
                ('user_digest', models.CharField(blank=True, editable=False, max_length=64, null=True, verbose_name='digest of the user code')),
                ('shown_code', models.TextField(blank=True, editable=False, help_text='Sealed under the secret of the browser that claimed it.', verbose_name='user code for its browser')),
                ('scope', models.TextField(blank=True, verbose_name='scope')),
                ('resource', models.JSONField(blank=True, default=list, verbose_name='resource')),
                ('max_age', models.PositiveIntegerField(blank=True, null=True, verbose_name='maximum age')),
                ('acr_values', models.CharField(blank=True, max_length=1024, verbose_name='context classes asked for')),
                ('jkt', models.CharField(blank=True, max_length=43, verbose_name='thumbprint of the key')),
                ('network', models.CharField(blank=True, max_length=43, verbose_name='network of the device')),
                ('interval', models.PositiveSmallIntegerField(verbose_name='seconds between two polls')),
                ('next_poll_at', models.DateTimeField(verbose_name='next poll at')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
            ],
            options={
                'verbose_name': 'device authorization',
                'verbose_name_plural': 'device authorizations',
            },
        ),
        migrations.RemoveConstraint(
            model_name='pendingauthorization',
            name='lazyauth_pending_code_needs_pkce',
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='grant',
            field=models.CharField(choices=[('code', 'code'), ('device', 'device code')], db_default='code', default='code', max_length=16, verbose_name='grant'),
        ),
        migrations.AlterField(
            model_name='pendingauthorization',
            name='code_challenge',
            field=models.CharField(blank=True, max_length=128, verbose_name='code challenge'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('grant', 'code'), models.Q(('code_challenge', ''), _negated=True)), models.Q(('code_challenge', ''), ('grant', 'device'), ('link_to__isnull', True)), _connector='OR'), name='lazyauth_pending_grant_needs'),
        ),
        migrations.AddField(
            model_name='deviceauthorization',
            name='client',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=client_model(), verbose_name='client'),
        ),
        migrations.AddField(
            model_name='deviceauthorization',
            name='pending',
            field=models.OneToOneField(blank=True, null=True, on_delete=cascade_at_once, related_name='device', to='lazyauth.pendingauthorization', verbose_name='pending authorization'),
        ),
        migrations.AddIndex(
            model_name='deviceauthorization',
            index=models.Index(fields=['network', 'expires_at'], name='lazyauth_device_network'),
        ),
        migrations.AddIndex(
            model_name='deviceauthorization',
            index=models.Index(fields=['expires_at'], name='lazyauth_device_expiry'),
        ),
        migrations.AddConstraint(
            model_name='deviceauthorization',
            constraint=models.UniqueConstraint(fields=('device_digest',), name='lazyauth_device_one_code'),
        ),
        migrations.AddConstraint(
            model_name='deviceauthorization',
            constraint=models.UniqueConstraint(fields=('user_digest',), name='lazyauth_device_one_user_code'),
        ),
        migrations.AddConstraint(
            model_name='deviceauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'claimed', 'approved', 'redeemed', 'denied', 'ended'])), name='lazyauth_device_status_known'),
        ),
        migrations.AddConstraint(
            model_name='deviceauthorization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ('waiting', 'claimed')), ('user_digest__isnull', False)), models.Q(models.Q(('status__in', ('waiting', 'claimed')), _negated=True), ('user_digest__isnull', True)), _connector='OR'), name='lazyauth_device_user_code_while_asking'),
        ),
        migrations.AddConstraint(
            model_name='deviceauthorization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('pending__isnull', True), ('status', 'waiting')), models.Q(('pending__isnull', False), ('status__in', ['claimed', 'approved', 'redeemed'])), ('status__in', ['denied', 'ended']), _connector='OR'), name='lazyauth_device_claimed_is_pending'),
        ),
        migrations.AddConstraint(
            model_name='deviceauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('interval__gte', 1), ('interval__lte', 60)), name='lazyauth_device_interval_bounded'),
        ),
    ]
