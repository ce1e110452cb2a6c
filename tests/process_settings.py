"""Settings of a process that a test starts: those of the test run, with what the test tells it."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, LAZYAUTH, ROOT_URLCONF

_told = json.loads(os.environ["LAZYAUTH_TEST_PROCESS"])
CACHES = _told["caches"]
LAZYAUTH = {**LAZYAUTH, **_told["lazyauth"]}
DATABASES = {"default": {**DATABASES["default"], "NAME": _told["database"]}}
ROOT_URLCONF = _told.get("urls", ROOT_URLCONF)
