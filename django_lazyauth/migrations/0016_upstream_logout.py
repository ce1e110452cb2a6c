from django.db import migrations, models

import django_lazyauth.models.fields


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0015_upstream_grant'),
    ]

    operations = [
        migrations.AddField(
            model_name='deferredregistration',
            name='upstream_sid',
            field=django_lazyauth.models.fields.ExactCharField(blank=True, max_length=255, null=True, verbose_name='upstream session'),
        ),
        migrations.AddField(
            model_name='upstreamtoken',
            name='upstream_sid',
            field=django_lazyauth.models.fields.ExactCharField(blank=True, max_length=255, null=True, verbose_name='upstream session'),
        ),
        migrations.AddIndex(
            model_name='deferredregistration',
            index=models.Index(condition=models.Q(('upstream_sid__isnull', False)), fields=['upstream_sid'], name='lazyauth_deferred_sid'),
        ),
        migrations.AddIndex(
            model_name='upstreamtoken',
            index=models.Index(condition=models.Q(('upstream_sid__isnull', False)), fields=['upstream_sid'], name='lazyauth_vault_sid'),
        ),
        migrations.AddIndex(
            model_name='upstreamtoken',
            index=models.Index(fields=['subject'], name='lazyauth_vault_subject'),
        ),
        migrations.CreateModel(
            name='UsedLogoutToken',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('provider', django_lazyauth.models.fields.ExactCharField(max_length=257, verbose_name='provider')),
                ('jti_digest', models.CharField(max_length=64, verbose_name='digest of its id')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
            ],
            options={
                'verbose_name': 'used logout token',
                'verbose_name_plural': 'used logout tokens',
                'indexes': [models.Index(fields=['expires_at'], name='lazyauth_logout_token_expiry')],
                'constraints': [models.UniqueConstraint(fields=('provider', 'jti_digest'), name='lazyauth_logout_token_once')],
            },
        ),
    ]
