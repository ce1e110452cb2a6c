"""What keeps the keys of a provider fresh, and what an operator is shown of it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0012_growth'),
    ]

    operations = [
        migrations.AddField(
            model_name='providerkeyset',
            name='endpoint_failed_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='last fetch for a broken endpoint'),
        ),
        migrations.AddField(
            model_name='providerkeyset',
            name='fresh_until',
            field=models.DateTimeField(blank=True, null=True, verbose_name='fresh until'),
        ),
        migrations.AddField(
            model_name='providerkeyset',
            name='last_error',
            field=models.CharField(blank=True, max_length=32, verbose_name='last error'),
        ),
        migrations.AddField(
            model_name='providerkeyset',
            name='last_error_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='last error at'),
        ),
        migrations.AddField(
            model_name='providerkeyset',
            name='method_found',
            field=models.CharField(blank=True, max_length=32, verbose_name='method found'),
        ),
        migrations.AddField(
            model_name='providerkeyset',
            name='notes',
            field=models.JSONField(blank=True, default=list, verbose_name='notes'),
        ),
        migrations.AddField(
            model_name='providerkeyset',
            name='refreshing_until',
            field=models.DateTimeField(blank=True, null=True, verbose_name='being refreshed until'),
        ),
        migrations.AlterField(
            model_name='providerkeyset',
            name='unknown_kid_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='last fetch for a token'),
        ),
    ]
