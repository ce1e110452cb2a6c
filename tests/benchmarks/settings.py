"""The settings of the tests, made a site: slow password hashes as shipped, and the stock toolkit mounted beside us."""

from datetime import timedelta

from tests.settings import *  # noqa: F403
from tests.settings import LAZYAUTH as _LAZYAUTH
from tests.settings import SIGNING_KEY

ROOT_URLCONF = "tests.benchmarks.urls"

# Django's own default, which the tests replace by a fast one.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]

# The stock toolkit: OpenID Connect on, with the key we sign with. The rest is its own defaults.
OAUTH2_PROVIDER = {
    "OIDC_ENABLED": True,
    "OIDC_RSA_PRIVATE_KEY": SIGNING_KEY,
    "SCOPES": {"openid": "Know who you are", "profile": "See your name"},
}

LAZYAUTH = {
    **_LAZYAUTH,
    # Codes are made in rounds, long before they are redeemed.
    "CODE_LIFETIME": timedelta(minutes=10),
    "PROVIDERS": {"demo": {"class": "tests.support.providers.BelievingProvider"}},
}
