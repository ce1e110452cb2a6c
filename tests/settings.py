"""Settings of the test run. ``LAZYAUTH_TEST_DATABASE`` is ``sqlite`` (default), ``postgresql`` or ``mariadb``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.mail import mail_settings

SECRET_KEY = "tests-only-secret-key-with-enough-characters-to-be-strong-0123456789"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "auth.example", "127.0.0.1", "localhost"]
ROOT_URLCONF = "tests.urls"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "oauth2_provider",
    "django_lazyauth",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The product hashes passwords with Django's default; the tests that are not about that need not wait.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
globals().update(mail_settings("django.core.mail.backends.locmem.EmailBackend"))
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

POSTGRES_URL = os.environ.get("LAZYAUTH_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
MARIADB_URL = os.environ.get("LAZYAUTH_TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/")
DATABASE = os.environ.get("LAZYAUTH_TEST_DATABASE", "sqlite")

if DATABASE == "postgresql":
    _url = urlsplit(POSTGRES_URL)
    # As docs/databases.md says. Behind PgBouncer as Django comes.
    _prepared = {"server_side_binding": True, "prepare_threshold": 5}
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "OPTIONS": {} if "LAZYAUTH_TEST_PGBOUNCER" in os.environ else _prepared,
            "HOST": _url.hostname,
            "PORT": _url.port or 5432,
            "USER": _url.username or "postgres",
            "PASSWORD": _url.password or "",
            "NAME": "lazyauth",
            "TEST": {"NAME": f"test_lazyauth_{os.getpid()}"},
        }
    }
elif DATABASE == "mariadb":
    import pymysql

    pymysql.install_as_MySQLdb()
    _url = urlsplit(MARIADB_URL)
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "HOST": _url.hostname,
            "PORT": _url.port or 3306,
            "USER": _url.username or "root",
            "PASSWORD": _url.password or "",
            "NAME": "lazyauth",
            "OPTIONS": {"charset": "utf8mb4", "isolation_level": "read committed"},
            "TEST": {"NAME": f"test_lazyauth_{os.getpid()}", "CHARSET": "utf8mb4"},
        }
    }
    # Constraints that the server does not have are told of by its own check; they hold in Python.
    SILENCED_SYSTEM_CHECKS = ["models.W036"]
else:
    # A file, not :memory:, so that threads and processes meet in it as they do on a site.
    _own = Path(tempfile.gettempdir()) / f"lazyauth-test-{os.getpid()}.sqlite3"
    _path = Path(os.environ.get("LAZYAUTH_TEST_SQLITE") or _own)
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(_path),
            "TEST": {"NAME": str(_path)},
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                # No test cuts the power: what a killed process committed is there also when nobody waits for the disk.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
            },
        }
    }


def _pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


SIGNING_KEY = _pem()

LAZYAUTH = {
    "ISSUER": "https://auth.example",
    "REGISTRATION": "lazy",
    "SIGNING_KEYS": [SIGNING_KEY],
    "VAULT_KEYS": ["test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
    "PROVIDERS": {},
}
