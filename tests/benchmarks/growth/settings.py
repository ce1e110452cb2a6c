"""The settings of the benchmarks, with the admin, a page to log in at, and caps that the benchmark does not reach."""

from tests.benchmarks.settings import *  # noqa: F403
from tests.benchmarks.settings import LAZYAUTH as _LAZYAUTH

from .names import API, ASKING_CLIENT

ROOT_URLCONF = "tests.benchmarks.growth.urls"
LOGIN_URL = "/login"
# What a password costs is not what is measured.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

LAZYAUTH = {
    **_LAZYAUTH,
    "MAX_PENDING_AUTHORIZATIONS": 10**9,
    "MAX_PENDING_PER_NETWORK": 10**9,
    "INTROSPECTION_CLIENTS": {ASKING_CLIENT: [API]},
}
