"""Settings of both stages; after the move this app stands beside the one that was there."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.mail import mail_settings

APP = os.environ["OLD_SITE_APP"]
IS_AFTER = os.environ["OLD_SITE_STAGE"] == "after"
UPSTREAM = os.environ["OLD_SITE_UPSTREAM"]
CLIENT = {"id": os.environ["OLD_SITE_CLIENT_ID"], "secret": os.environ["OLD_SITE_CLIENT_SECRET"]}
DIRECTORY = Path(os.environ["OLD_SITE_DIRECTORY"])

SECRET_KEY = "old-site-secret-key-with-enough-characters-to-be-strong-0123456789"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.legacy.old_site.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
LOGIN_REDIRECT_URL = "/"
globals().update(mail_settings("django.core.mail.backends.dummy.EmailBackend"))
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(DIRECTORY / "site.sqlite3"),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]

if APP == "allauth":
    INSTALLED_APPS += [
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ]
    MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
    AUTHENTICATION_BACKENDS += ["allauth.account.auth_backends.AuthenticationBackend"]
    ACCOUNT_EMAIL_VERIFICATION = "none"
    SOCIALACCOUNT_STORE_TOKENS = True
    SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "corporate",
                    "name": "Corporate",
                    "client_id": CLIENT["id"],
                    "secret": CLIENT["secret"],
                    "settings": {"server_url": UPSTREAM},
                }
            ],
        }
    }
else:
    INSTALLED_APPS += ["social_django"]
    AUTHENTICATION_BACKENDS += ["social_core.backends.open_id_connect.OpenIdConnectAuth"]
    SOCIAL_AUTH_OIDC_OIDC_ENDPOINT = UPSTREAM
    SOCIAL_AUTH_OIDC_KEY = CLIENT["id"]
    SOCIAL_AUTH_OIDC_SECRET = CLIENT["secret"]
    SOCIAL_AUTH_OIDC_USE_PKCE = True

if IS_AFTER:
    INSTALLED_APPS += ["rest_framework", "oauth2_provider", "django_lazyauth"]
    LAZYAUTH = {
        "ISSUER": os.environ["OLD_SITE_URL"],
        "REGISTRATION": "lazy",
        "SIGNING_KEYS": [(DIRECTORY / "signing-key.pem").read_text()],
        "VAULT_KEYS": ["test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
        "ALLOW_LOOPBACK_UPSTREAMS": True,
        "PROVIDERS": {
            "demo": {
                "display_name": "Demo Upstream",
                "issuer": UPSTREAM,
                "client_id": CLIENT["id"],
                "client_secret": CLIENT["secret"],
                "scopes": ["openid", "profile", "email", "offline_access"],
            },
            "password": {"type": "password"},
        },
    }
    OAUTH2_PROVIDER = {"OIDC_ENABLED": True, "PKCE_REQUIRED": True}

if IS_AFTER and "OLD_SITE_MORE" in os.environ:
    KEYS = {"client_id": "x", "client_secret": "y"}
    LAZYAUTH["PROVIDERS"] |= {
        "google": {"preset": "google", **KEYS},
        "github": {"preset": "github", **KEYS},
        "microsoft": {"preset": "microsoft", **KEYS},
        # Two on purpose: the old apps had people of both.
        "microsoft-graph": {"preset": "microsoft", "accounts_of": False, **KEYS},
        "keycloak": {"issuer": "https://keycloak.example", **KEYS},
        "discord": {
            "type": "oauth2",
            "authorization_endpoint": "https://discord.example/authorize",
            "token_endpoint": "https://discord.example/token",
            "userinfo_endpoint": "https://discord.example/me",
            "subject": "id",
            **KEYS,
        },
    }
