from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0039_used_id_jag'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(
                condition=models.Q(('grant', 'id_jag')), fields=['session_id'], name='lazyauth_log_id_jag'
            ),
        ),
    ]
