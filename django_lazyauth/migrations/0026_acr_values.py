"""How strongly a client wants the person to sign in, kept with its request."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0025_bound_tokens'),
    ]

    operations = [
        migrations.AddField(
            model_name='pendingauthorization',
            name='acr_values',
            field=models.CharField(blank=True, db_default='', default='', help_text='How strongly the client wants the person to sign in. Any of them will do.', max_length=1024, verbose_name='context classes asked for'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='is_acr_essential',
            field=models.BooleanField(db_default=False, default=False, verbose_name='no other context class will do'),
        ),
    ]
