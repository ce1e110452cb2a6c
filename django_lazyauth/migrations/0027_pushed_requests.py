"""Which pushed or signed request a flow came of: one is good for one flow."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0026_acr_values'),
    ]

    operations = [
        migrations.AddField(
            model_name='pendingauthorization',
            name='request_digest',
            field=models.CharField(blank=True, editable=False, max_length=64, null=True, verbose_name='request handed over'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='pushed_digest',
            field=models.CharField(blank=True, editable=False, max_length=64, null=True, verbose_name='request used up'),
        ),
        migrations.AddField(
            model_name='pendingauthorization',
            name='request_until',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='request may come until'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.UniqueConstraint(fields=('pushed_digest',), name='lazyauth_pending_one_flow'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('pushed_digest__isnull', True), models.Q(('pushed_digest', models.F('request_digest')), ('request_until__isnull', False)), _connector='OR'), name='lazyauth_pending_pushed_is_own'),
        ),
    ]
