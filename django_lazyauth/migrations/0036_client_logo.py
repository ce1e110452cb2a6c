"""The logos of clients that an operator stands for."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0035_browser_mark'),
    ]

    operations = [
        migrations.AddField(
            model_name='clientregistration',
            name='logo_digest',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=64),
        ),
        migrations.CreateModel(
            name='ClientLogo',
            fields=[
                ('registration', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='logo', serialize=False, to='lazyauth.clientregistration')),
                ('media_type', models.CharField(max_length=16)),
                ('content', models.BinaryField()),
            ],
        ),
    ]
