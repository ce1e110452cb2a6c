"""Settings of the site that gunicorn serves for the HTTP claims: the benchmark's database, keys and URLs."""

import json
import os

from tests.benchmarks.settings import *  # noqa: F403 - Django's settings are one flat namespace
from tests.benchmarks.settings import DATABASES, LAZYAUTH, OAUTH2_PROVIDER

_given = json.loads(os.environ["LAZYAUTH_BENCHMARK_SITE"])

# Connections stay open, as on a site with traffic. Without that both sides mostly measure the connecting.
DATABASES = {"default": {**DATABASES["default"], "NAME": _given["database"], "CONN_MAX_AGE": 600}}
LAZYAUTH = {**LAZYAUTH, "SIGNING_KEYS": [_given["signing_key"]]}
OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, "OIDC_RSA_PRIVATE_KEY": _given["signing_key"]}
