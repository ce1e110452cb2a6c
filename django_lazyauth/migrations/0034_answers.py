"""The client is answered in the body of a form where it asks for it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0033_overview'),
    ]

    operations = [
        migrations.AddField(
            model_name='pendingauthorization',
            name='is_answer_posted',
            field=models.BooleanField(db_default=False, default=False, verbose_name='answer is posted'),
        ),
    ]
