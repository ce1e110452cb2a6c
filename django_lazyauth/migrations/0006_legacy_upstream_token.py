# The client model is swappable in django-oauth-toolkit; its name is asked for, so that no host has to set it.

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError

from django_lazyauth.models.fields import ExactCharField, client_model


class CreateModel(migrations.CreateModel):
    """The way back drops the table. It is refused while the table has rows: they would be the only copy."""

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        model = from_state.apps.get_model(app_label, self.name)
        if model._default_manager.using(schema_editor.connection.alias).exists():
            raise IrreversibleError(
                "The table of legacy upstream tokens has rows, and the way back would drop them. Move them with "
                "manage.py migrate_legacy_tokens, or delete them, and begin again."
            )
        super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):

    dependencies = [
        ('lazyauth', '0005_sessions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency(client_model()),
    ]

    operations = [
        CreateModel(
            name='LegacyUpstreamToken',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('session_id', ExactCharField(max_length=255, unique=True, verbose_name='session')),
                ('provider', ExactCharField(blank=True, max_length=257, verbose_name='provider id')),
                ('subject', ExactCharField(blank=True, max_length=255, verbose_name='upstream subject')),
                ('access_token', models.TextField(blank=True, verbose_name='access token')),
                ('refresh_token', models.TextField(blank=True, verbose_name='refresh token')),
                ('id_token', models.TextField(blank=True, verbose_name='ID token')),
                ('token_type', models.CharField(default='Bearer', max_length=32, verbose_name='token type')),
                ('scope', models.TextField(blank=True, verbose_name='scope')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='access token expires at')),
                ('refresh_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='refresh token expires at')),
                ('retain_until', models.DateTimeField(blank=True, help_text='Empty: as long as a new bundle.', null=True, verbose_name='retained until')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('client', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=client_model(), verbose_name='client')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'legacy upstream token',
                'verbose_name_plural': 'legacy upstream tokens',
                'indexes': [models.Index(fields=['provider'], name='lazyauth_legacy_provider')],
            },
        ),
    ]
