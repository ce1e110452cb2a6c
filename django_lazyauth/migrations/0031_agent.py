"""Name and system of the browser that began a sign-in, for the person's own list."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0030_bound_later'),
    ]

    operations = [
        migrations.AddField(
            model_name='pendingauthorization',
            name='agent',
            field=models.CharField(blank=True, db_default='', default='', max_length=40, verbose_name='browser'),
        ),
    ]
