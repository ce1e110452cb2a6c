# The client model is swappable in django-oauth-toolkit; its name is asked for, so that no host has to set it.

import django.db.models.deletion
import django.utils.timezone
import django_lazyauth.models.fields
from django.conf import settings
from django.db import migrations, models

from django_lazyauth.models.fields import ExactCharField, cascade_at_once, client_model


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency(client_model()),
    ]

    operations = [
        migrations.CreateModel(
            name='PendingAuthorization',
            fields=[
                ('session_id', models.UUIDField(default=django_lazyauth.models.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('requested', 'requested'), ('sent_upstream', 'sent upstream'), ('authenticated', 'authenticated'), ('code_issued', 'code issued'), ('exchanged', 'exchanged'), ('failed', 'failed')], default='requested', max_length=16, verbose_name='status')),
                ('redirect_uri', models.TextField(verbose_name='redirect URI')),
                ('scope', models.TextField(blank=True, verbose_name='scope')),
                ('resource', models.JSONField(blank=True, default=list, verbose_name='resource')),
                ('state', models.TextField(blank=True, verbose_name='state')),
                ('nonce', models.CharField(blank=True, max_length=255, verbose_name='nonce')),
                ('code_challenge', models.CharField(max_length=128, verbose_name='code challenge')),
                ('prompt', models.CharField(blank=True, max_length=64, verbose_name='prompt')),
                ('max_age', models.PositiveIntegerField(blank=True, null=True, verbose_name='maximum age')),
                ('login_hint', models.CharField(blank=True, max_length=256, verbose_name='login hint')),
                ('ui_locales', models.CharField(blank=True, max_length=128, verbose_name='UI locales')),
                ('binding_digest', models.CharField(db_index=True, max_length=64, verbose_name='binding digest')),
                ('network', models.CharField(blank=True, max_length=43, verbose_name='network')),
                ('provider', ExactCharField(blank=True, max_length=257, verbose_name='provider')),
                ('state_digest', models.CharField(blank=True, max_length=64, null=True, unique=True, verbose_name='state digest')),
                ('private', models.TextField(blank=True, verbose_name='sealed provider state')),
                ('is_deferred', models.BooleanField(default=False, verbose_name='registration deferred')),
                ('auth_time', models.DateTimeField(blank=True, null=True, verbose_name='authenticated at')),
                ('amr', models.JSONField(blank=True, default=list, verbose_name='authentication methods')),
                ('acr', models.CharField(blank=True, max_length=255, verbose_name='authentication context')),
                ('consented_at', models.DateTimeField(blank=True, null=True, verbose_name='consented at')),
                ('code_digest', models.CharField(blank=True, max_length=64, null=True, unique=True, verbose_name='code digest')),
                ('code_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='code expires at')),
                ('exchanged_at', models.DateTimeField(blank=True, null=True, verbose_name='exchanged at')),
                ('resumed_at', models.DateTimeField(blank=True, null=True, verbose_name='browser signed in at')),
                ('failed_attempts', models.PositiveIntegerField(default=0, verbose_name='failed attempts')),
                ('last_error', models.CharField(blank=True, max_length=128, verbose_name='class of the last error')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='updated at')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
                ('client', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=client_model(), verbose_name='client')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=cascade_at_once, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'pending authorization',
                'verbose_name_plural': 'pending authorizations',
            },
        ),
        migrations.CreateModel(
            name='ProviderKeySet',
            fields=[
                ('provider', ExactCharField(max_length=64, primary_key=True, serialize=False, verbose_name='provider')),
                ('issuer', models.CharField(max_length=255, verbose_name='issuer')),
                ('configuration', models.JSONField(default=dict, verbose_name='configuration')),
                ('jwks', models.JSONField(default=dict, verbose_name='key set')),
                ('etag', models.CharField(blank=True, max_length=255, verbose_name='entity tag')),
                ('last_modified', models.CharField(blank=True, max_length=64, verbose_name='last modified')),
                ('fetched_at', models.DateTimeField(blank=True, null=True, verbose_name='fetched at')),
                ('next_refresh_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='next refresh at')),
                ('failures', models.PositiveIntegerField(default=0, verbose_name='failures in a row')),
                ('unknown_kid_at', models.DateTimeField(blank=True, null=True, verbose_name='last fetch for an unknown key id')),
            ],
            options={
                'verbose_name': 'provider key set',
                'verbose_name_plural': 'provider key sets',
            },
        ),
        migrations.CreateModel(
            name='ProviderIdentity',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('provider', ExactCharField(max_length=257, verbose_name='provider')),
                ('subject', ExactCharField(max_length=255, verbose_name='subject')),
                ('issuer', ExactCharField(blank=True, max_length=255, verbose_name='issuer')),
                ('email', models.CharField(blank=True, max_length=256, verbose_name='e-mail address')),
                ('email_verified', models.BooleanField(default=False, verbose_name='e-mail address verified')),
                ('name', models.CharField(blank=True, max_length=128, verbose_name='name')),
                ('sso_domain', models.CharField(blank=True, max_length=253, verbose_name='SSO domain')),
                ('sso_name', models.CharField(blank=True, max_length=128, verbose_name='SSO name')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='provider_identities', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'identity',
                'verbose_name_plural': 'identities',
            },
        ),
        migrations.CreateModel(
            name='UpstreamToken',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('session_id', models.UUIDField(verbose_name='session')),
                ('provider', ExactCharField(max_length=257, verbose_name='provider')),
                ('subject', ExactCharField(max_length=255, verbose_name='upstream subject')),
                ('access_token', models.TextField(blank=True, verbose_name='sealed access token')),
                ('refresh_token', models.TextField(blank=True, verbose_name='sealed refresh token')),
                ('id_token', models.TextField(blank=True, verbose_name='sealed ID token')),
                ('token_type', models.CharField(default='Bearer', max_length=32, verbose_name='token type')),
                ('scope', models.TextField(blank=True, verbose_name='scope')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='access token expires at')),
                ('refresh_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='refresh token expires at')),
                ('is_dead', models.BooleanField(default=False, help_text='The upstream refused the refresh token: sign in again.', verbose_name='dead')),
                ('version', models.PositiveIntegerField(default=1, verbose_name='version')),
                ('lease', models.CharField(blank=True, max_length=64, verbose_name='lease')),
                ('lease_until', models.DateTimeField(blank=True, null=True, verbose_name='leased until')),
                ('retain_until', models.DateTimeField(verbose_name='retained until')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='updated at')),
                ('client', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=client_model(), verbose_name='client')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'upstream token',
                'verbose_name_plural': 'upstream tokens',
            },
        ),
        migrations.CreateModel(
            name='Consent',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('resources_digest', models.CharField(max_length=64, verbose_name='digest of the resources')),
                ('resources', models.JSONField(blank=True, default=list, verbose_name='resources')),
                ('scope', models.TextField(blank=True, verbose_name='scope')),
                ('client_digest', models.CharField(help_text='What the client said about itself when the person allowed it.', max_length=64, verbose_name="digest of the client's metadata")),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='updated at')),
                ('client', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=client_model(), verbose_name='client')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'consent',
                'verbose_name_plural': 'consents',
                'constraints': [models.UniqueConstraint(fields=('user', 'client', 'resources_digest'), name='lazyauth_consent_once')],
            },
        ),
        migrations.CreateModel(
            name='DeferredRegistration',
            fields=[
                ('pending', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='deferred', serialize=False, to='lazyauth.pendingauthorization')),
                ('provider', ExactCharField(max_length=257, verbose_name='provider')),
                ('subject', ExactCharField(max_length=255, verbose_name='subject')),
                ('commit', models.TextField(verbose_name='sealed payload')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'deferred registration',
                'verbose_name_plural': 'deferred registrations',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('provider', ''), _negated=True), models.Q(('subject', ''), _negated=True)), name='lazyauth_deferred_names_person')],
            },
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(fields=['status', 'expires_at'], name='lazyauth_pending_live'),
        ),
        migrations.AddIndex(
            model_name='pendingauthorization',
            index=models.Index(fields=['network', 'expires_at'], name='lazyauth_pending_network'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['requested', 'sent_upstream', 'authenticated', 'code_issued', 'exchanged', 'failed'])), name='lazyauth_pending_status_known'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('state_digest__isnull', True), ('status', 'sent_upstream'), _connector='OR'), name='lazyauth_pending_state_is_upstream'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'sent_upstream'), _negated=True), models.Q(('provider', ''), _negated=True), _connector='OR'), name='lazyauth_pending_sent_names_provider'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['authenticated', 'code_issued']), _negated=True), models.Q(('auth_time__isnull', False), ('is_deferred', False), ('user__isnull', False)), models.Q(('auth_time__isnull', False), ('is_deferred', True), ('user__isnull', True)), _connector='OR'), name='lazyauth_pending_one_person'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['code_issued', 'exchanged']), _negated=True), models.Q(('code_digest__isnull', False), ('code_expires_at__isnull', False), ('consented_at__isnull', False)), _connector='OR'), name='lazyauth_pending_code_is_consented'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'exchanged'), _negated=True), models.Q(('exchanged_at__isnull', False), ('user__isnull', False)), _connector='OR'), name='lazyauth_pending_exchanged_has_user'),
        ),
        migrations.AddConstraint(
            model_name='pendingauthorization',
            constraint=models.CheckConstraint(condition=models.Q(('code_challenge', ''), _negated=True), name='lazyauth_pending_code_needs_pkce'),
        ),
        migrations.AddConstraint(
            model_name='provideridentity',
            constraint=models.UniqueConstraint(fields=('provider', 'subject'), name='lazyauth_identity_one_user'),
        ),
        migrations.AddConstraint(
            model_name='provideridentity',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('provider', ''), _negated=True), models.Q(('subject', ''), _negated=True)), name='lazyauth_identity_names_person'),
        ),
        migrations.AddIndex(
            model_name='upstreamtoken',
            index=models.Index(fields=['retain_until'], name='lazyauth_vault_retention'),
        ),
        migrations.AddConstraint(
            model_name='upstreamtoken',
            constraint=models.UniqueConstraint(fields=('session_id', 'provider'), name='lazyauth_vault_one_bundle'),
        ),
    ]
