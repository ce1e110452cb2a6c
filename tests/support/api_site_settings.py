"""A second site: Django REST framework, this package, the URL of an issuer. No database, no users, no toolkit."""

from __future__ import annotations

import json
import os

_told = json.loads(os.environ["API_SITE"])

SECRET_KEY = "the-second-site-has-a-secret-key-of-its-own-0123456789abcdefgh"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "tests.support.api_site"
INSTALLED_APPS = ["rest_framework", "django_lazyauth.resource_server"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES: dict[str, object] = {}
CACHES = _told["caches"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "django_lazyauth.resource_server.authentication.AccessTokenAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}
LAZYAUTH = _told["lazyauth"]
