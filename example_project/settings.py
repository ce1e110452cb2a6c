"""Settings for development: SQLite, mail on the console, keys made on first use. Nothing to start or to set.

Each service is one environment variable away: ``DATABASE_URL``, ``REDIS_URL``, ``EMAIL_URL``.
Production has its own module, which trusts no default: ``example_project.settings_production``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import environment
from .settings_common import *  # noqa: F403  Django's settings are one flat namespace.
from .settings_common import BASE_DIR, OAUTH2_PROVIDER, PASSWORD_PROVIDER, VAR_DIR

VAR_DIR = Path(environment.value("SITE_VAR_DIR", str(VAR_DIR)))
ISSUER = environment.value("LAZYAUTH_ISSUER", "http://127.0.0.1:8000/")
UPSTREAM_ISSUER = environment.value("DEMO_UPSTREAM_ISSUER", "http://127.0.0.1:8001")

DEBUG = environment.flag("DEBUG", default=True)
SECRET_KEY = environment.value("SECRET_KEY") or environment.kept(
    VAR_DIR / "dev-secret-key", environment.new_secret_key
)
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", urlsplit(ISSUER).hostname or ""]

DATABASES = {
    "default": environment.database(
        environment.value("DATABASE_URL", environment.sqlite_url(VAR_DIR / "site.sqlite3")), BASE_DIR
    )
}
if redis_url := environment.value("REDIS_URL"):
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}}

# Mail is printed, written to files in MAIL_DIR, or sent.
if email_url := environment.value("EMAIL_URL"):
    globals().update(environment.mail(email_url))
elif mail_dir := environment.value("MAIL_DIR"):
    globals().update(environment.mailer("filebased", file_path=mail_dir))
else:
    globals().update(environment.mailer("console"))
DEFAULT_FROM_EMAIL = environment.value("DEFAULT_FROM_EMAIL", "sign-in@127.0.0.1.example")

OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, "OIDC_ISS_ENDPOINT": ISSUER}

LAZYAUTH: dict[str, Any] = {
    "ISSUER": ISSUER,
    "REGISTRATION": "lazy",
    "SIGNING_KEYS": environment.pem_keys(environment.value("LAZYAUTH_SIGNING_KEYS"))
    or [environment.kept(VAR_DIR / "dev-signing-key.pem", environment.new_rsa_key)],
    "VAULT_KEYS": environment.value("LAZYAUTH_VAULT_KEYS").split(),
    "ALLOW_LOOPBACK_UPSTREAMS": True,
    # What the consent page calls the resources that clients ask for.
    "RESOURCE_NAMES": {"/mcp": "Your notes at the demo upstream", "/api/whoami": "The example's API"},
    "PROVIDERS": {
        "demo": {
            "display_name": "Demo Upstream",
            "logo": "example/upstream.svg",
            "issuer": UPSTREAM_ISSUER,
            "client_id": environment.value("DEMO_UPSTREAM_CLIENT_ID", "lazyauth-example-site"),
            "client_secret": environment.value("DEMO_UPSTREAM_CLIENT_SECRET", "a-secret-for-the-demo-only"),
            "scopes": ["openid", "profile", "email", "offline_access"],
        },
        "password": PASSWORD_PROVIDER,
    },
}

# The demo client of ``make serve``; its page shows how to redeem a code when it is told the verifier.
DEMO_CLIENT_ID = "demo-client"
DEMO_CODE_VERIFIER = environment.value("DEMO_CODE_VERIFIER")
