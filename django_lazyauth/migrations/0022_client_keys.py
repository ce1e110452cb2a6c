from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0021_asking_again'),
    ]

    operations = [
        migrations.CreateModel(
            name='UsedProof',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.CharField(max_length=64, verbose_name='digest')),
                ('kind', models.CharField(choices=[('client_assertion', 'client assertion')], max_length=32, verbose_name='kind')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
            ],
            options={
                'verbose_name': 'used proof',
                'verbose_name_plural': 'used proofs',
            },
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='client_auth',
            field=models.CharField(blank=True, db_default='', default='', help_text='Set where its code came with a client assertion: it is refreshed with one only.', max_length=32, verbose_name='client authenticated by'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('client_auth__in', ['', 'private_key_jwt'])), name='lazyauth_pending_client_auth_known'),
        ),
        migrations.AddIndex(
            model_name='usedproof',
            index=models.Index(fields=['expires_at'], name='lazyauth_proof_expiry'),
        ),
        migrations.AddConstraint(
            model_name='usedproof',
            constraint=models.UniqueConstraint(fields=('digest',), name='lazyauth_proof_once'),
        ),
        migrations.AddConstraint(
            model_name='usedproof',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['client_assertion'])), name='lazyauth_proof_kind_known'),
        ),
    ]
