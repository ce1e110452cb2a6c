from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0022_client_keys'),
    ]

    operations = [
        migrations.AddField(
            model_name='provideridentity',
            name='written',
            field=models.JSONField(blank=True, default=dict, editable=False, null=True),
        ),
    ]
