from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0029_devices'),
    ]

    operations = [
        migrations.AddField(
            model_name='familygrant',
            name='bound_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='bound to a key at'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='bound_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='bound to a key at'),
        ),
    ]
