"""Settings for production: everything comes from the environment, and nothing starts without it.

=========================  =====================================================================
``SECRET_KEY``             at least 50 random characters
``LAZYAUTH_ISSUER``        ``https://auth.example.com/``: what clients know this site by, for ever
``LAZYAUTH_SIGNING_KEYS``  PEM private keys, one after the other; the first signs
``LAZYAUTH_VAULT_KEYS``    ``<key id>:<base64 of 32 bytes>``, separated by spaces; the first seals
``LAZYAUTH_PROVIDERS``     JSON: the ways to sign in besides e-mail and password
``DATABASE_URL``           ``postgres://user:password@host:5432/name``
``REDIS_URL``              ``redis://host:6379/0``: the cache that all processes share
``EMAIL_URL``              ``smtp+tls://user:password@host:587``
``DEFAULT_FROM_EMAIL``     the sender of the codes that people get by mail
=========================  =====================================================================

Optional: ``ALLOWED_HOSTS`` (the issuer's host unless set), ``STATIC_ROOT``, ``HSTS_SECONDS`` (a year), and
``NUM_PROXIES``: how many reverse proxies of yours stand in front; from one on, their forwarding headers are
believed, so they must overwrite ``X-Forwarded-Proto``.
Every name may be given as ``<name>_FILE`` instead: the path of a file that holds the value.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from . import environment
from .settings_common import *  # noqa: F403  Django's settings are one flat namespace.
from .settings_common import BASE_DIR, OAUTH2_PROVIDER, PASSWORD_PROVIDER, VAR_DIR

environment.require(
    "SECRET_KEY",
    "LAZYAUTH_ISSUER",
    "LAZYAUTH_SIGNING_KEYS",
    "LAZYAUTH_VAULT_KEYS",
    "LAZYAUTH_PROVIDERS",
    "DATABASE_URL",
    "REDIS_URL",
    "EMAIL_URL",
    "DEFAULT_FROM_EMAIL",
)

ISSUER = environment.value("LAZYAUTH_ISSUER")
NUM_PROXIES = environment.number("NUM_PROXIES", default=0)

DEBUG = False
SECRET_KEY = environment.value("SECRET_KEY")
ALLOWED_HOSTS = environment.value("ALLOWED_HOSTS").split() or [urlsplit(ISSUER).hostname or ""]

DATABASES = {"default": environment.database(environment.value("DATABASE_URL"), BASE_DIR)}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": environment.value("REDIS_URL"),
        "KEY_PREFIX": "lazyauth",
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
}
globals().update(environment.mail(environment.value("EMAIL_URL")))
DEFAULT_FROM_EMAIL = environment.value("DEFAULT_FROM_EMAIL")

STATIC_ROOT = Path(environment.value("STATIC_ROOT", str(VAR_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}

SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = environment.number("HSTS_SECONDS", default=365 * 24 * 60 * 60)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
if NUM_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}


def _providers() -> dict[str, dict[str, Any]]:
    try:
        providers = json.loads(environment.value("LAZYAUTH_PROVIDERS"))
    except ValueError as error:
        raise ImproperlyConfigured("LAZYAUTH_PROVIDERS must be JSON.") from error
    if not isinstance(providers, dict):
        raise ImproperlyConfigured("LAZYAUTH_PROVIDERS must be a JSON object: name → what differs about it.")
    return {**providers, "password": PASSWORD_PROVIDER}


# Clients that operators enter by hand redirect to https only (RFC 9700 §2.1).
OAUTH2_PROVIDER = {
    **OAUTH2_PROVIDER,
    "OIDC_ISS_ENDPOINT": ISSUER,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
}

LAZYAUTH: dict[str, Any] = {
    "ISSUER": ISSUER,
    "REGISTRATION": "lazy",
    "SIGNING_KEYS": environment.pem_keys(environment.value("LAZYAUTH_SIGNING_KEYS")),
    "VAULT_KEYS": environment.value("LAZYAUTH_VAULT_KEYS").split(),
    "NUM_PROXIES": NUM_PROXIES,
    "PROVIDERS": _providers(),
}
