from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0024_grants_without_a_person'),
    ]

    operations = [
        migrations.CreateModel(
            name='TokenFacts',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('token_checksum', models.CharField(max_length=64, verbose_name='token checksum')),
                ('session_id', models.UUIDField(blank=True, editable=False, null=True, verbose_name='session')),
                ('jkt', models.CharField(blank=True, help_text='Of the key that each use of the token is proved with; empty for a bearer token.', max_length=43, verbose_name='thumbprint of the key')),
                ('act', models.JSONField(blank=True, null=True, verbose_name='actor')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
            ],
            options={
                'verbose_name': 'facts of an access token',
                'verbose_name_plural': 'facts of access tokens',
            },
        ),
        migrations.RemoveConstraint(
            model_name='usedproof',
            name='lazyauth_proof_kind_known',
        ),
        migrations.AddField(
            model_name='familygrant',
            name='jkt',
            field=models.CharField(blank=True, db_default='', default='', help_text='Of the key that its tokens are bound to; empty for bearer tokens.', max_length=43, verbose_name='thumbprint of the key'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='jkt',
            field=models.CharField(blank=True, db_default='', default='', help_text='Of the key that the code, and later the tokens of the session are bound to; empty for bearer tokens.', max_length=43, verbose_name='thumbprint of the key'),
        ),
        migrations.AlterField(
            model_name='usedproof',
            name='kind',
            field=models.CharField(choices=[('client_assertion', 'client assertion'), ('dpop_proof', 'DPoP proof')], max_length=32, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='usedproof',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['client_assertion', 'dpop_proof'])), name='lazyauth_proof_kind_known'),
        ),
        migrations.AddIndex(
            model_name='tokenfacts',
            index=models.Index(condition=models.Q(('session_id__isnull', False)), fields=['session_id'], name='lazyauth_facts_of_session'),
        ),
        migrations.AddIndex(
            model_name='tokenfacts',
            index=models.Index(fields=['expires_at'], name='lazyauth_facts_expiry'),
        ),
        migrations.AddConstraint(
            model_name='tokenfacts',
            constraint=models.UniqueConstraint(fields=('token_checksum',), name='lazyauth_facts_of_token'),
        ),
    ]
