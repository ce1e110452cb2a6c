"""In which browser a session began, for the person's own list."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0034_answers'),
    ]

    operations = [
        migrations.AddField(
            model_name='pendingauthorization',
            name='browser_mark',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=22),
        ),
    ]
