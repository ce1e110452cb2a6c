from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0017_leaving_grants'),
    ]

    operations = [
        migrations.AddField(
            model_name='provideridentity',
            name='signed_out_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='The provider said so. Sign-ins of browsers on this site from before have ended.', null=True, verbose_name='signed out at'),
        ),
    ]
