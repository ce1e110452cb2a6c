"""Settings of the demo's upstream: its own issuer, its own database file, its own cookies.

``UPSTREAM_ISSUER``, ``UPSTREAM_VAR_DIR``, ``UPSTREAM_RSA_KEY`` and ``UPSTREAM_ACCESS_TOKEN_SECONDS`` move it
elsewhere. It is for loopback only: its people's passwords are printed on its sign-in page.
"""

from __future__ import annotations

from pathlib import Path

from example_project import environment

ISSUER = environment.value("UPSTREAM_ISSUER", "http://127.0.0.1:8001")
VAR_DIR = Path(
    environment.value("UPSTREAM_VAR_DIR")
    or Path(__file__).resolve().parent.parent.parent / "var" / "upstream"
)

DEBUG = True
SECRET_KEY = environment.kept(VAR_DIR / "secret-key", environment.new_secret_key)
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "example_project.upstream.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "/static/"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "oauth2_provider",
    "example_project.upstream",
]
#: A site may open the sign-in as a popup. Its window must keep its opener here too.
SECURE_CROSS_ORIGIN_OPENER_POLICY = "unsafe-none"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
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
            ]
        },
    }
]
DATABASES = {"default": environment.database(environment.sqlite_url(VAR_DIR / "upstream.sqlite3"), VAR_DIR)}

# Tables are made from the models without migrations, which takes a tenth of the time. Delete the database after an
# upgrade of the toolkit.
MIGRATION_MODULES = dict.fromkeys(("auth", "contenttypes", "sessions", "oauth2_provider"))

# Cookies do not distinguish ports, and the site on the same 127.0.0.1 uses the usual names.
SESSION_COOKIE_NAME = "upstream_sessionid"
CSRF_COOKIE_NAME = "upstream_csrftoken"

LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in"
# The passwords stand in the source code, so a slow hash would protect nothing.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

OAUTH2_PROVIDER = {
    "OIDC_ENABLED": True,
    "OIDC_ISS_ENDPOINT": ISSUER,
    "OIDC_RSA_PRIVATE_KEY": "".join(environment.pem_keys(environment.value("UPSTREAM_RSA_KEY"))[:1])
    or environment.kept(VAR_DIR / "signing-key.pem", environment.new_rsa_key),
    "OIDC_RESPONSE_TYPES_SUPPORTED": ["code"],
    "OAUTH2_RESPONSE_TYPES_SUPPORTED": ["code"],
    "OAUTH2_GRANT_TYPES_SUPPORTED": ["authorization_code", "refresh_token"],
    "OAUTH2_VALIDATOR_CLASS": "example_project.upstream.claims.ClaimsValidator",
    "SCOPES": {
        "openid": "Know who you are",
        "profile": "See your name",
        "email": "See your e-mail address",
        "offline_access": "Stay connected while you are away",
    },
    "DEFAULT_SCOPES": ["openid"],
    "PKCE_REQUIRED": True,
    "ACCESS_TOKEN_EXPIRE_SECONDS": environment.number("UPSTREAM_ACCESS_TOKEN_SECONDS", default=300),
    "ID_TOKEN_EXPIRE_SECONDS": 300,
    "REFRESH_TOKEN_EXPIRE_SECONDS": 14 * 24 * 60 * 60,
    "ROTATE_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
}
