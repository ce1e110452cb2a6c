from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0018_identity_signed_out'),
    ]

    operations = [
        migrations.AddField(
            model_name='provideridentity',
            name='claims',
            field=models.JSONField(blank=True, default=dict, help_text="Those that the provider's keep_claims names, by their paths.", null=True, verbose_name='claims'),
        ),
        migrations.AddField(
            model_name='provideridentity',
            name='seen_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the person last signed in with it.', null=True, verbose_name='last used at'),
        ),
    ]
