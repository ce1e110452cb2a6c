from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0037_client_search'),
    ]

    operations = [
        migrations.AlterField(
            model_name='pendingauthorization',
            name='grant',
            field=models.CharField(choices=[('code', 'code'), ('device', 'device code'), ('id_jag', 'word of an organisation')], db_default='code', default='code', max_length=16, verbose_name='grant'),
        ),
        migrations.RemoveConstraint(
            model_name='pendingauthorization',
            name='lazyauth_pending_grant_needs',
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(
                condition=Q(Q(grant='code') & ~Q(code_challenge=''))
                | Q(grant='device', code_challenge='', link_to__isnull=True)
                | Q(grant='id_jag', code_challenge='', status='exchanged', is_deferred=False),
                name='lazyauth_pending_grant_needs',
            ),
        ),
    ]
