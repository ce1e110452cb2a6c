"""A host whose defaults for its own API are nothing like ours: versions, throttles, renderers, error format.

Run as ``python -m tests.site.strict_site``: django-rest-framework reads its defaults once, when it is imported.
"""

from __future__ import annotations

import json
import sys

ISSUER = "https://auth.example"


class WrappingParser:
    """Named by the host for its own views; ours must not ask it."""

    media_type = "*/*"

    def parse(self, *args, **kwargs):
        raise AssertionError("the host's parser was asked")


class EverythingElsewhere:
    """The default database holds nothing."""

    def db_for_read(self, model, **hints):
        return "people"

    def db_for_write(self, model, **hints):
        return "people"

    def allow_relation(self, one, other, **hints):
        return True

    def allow_migrate(self, db, app_label, **hints):
        return db == "people"


def in_an_envelope(exc, context):
    """How the host tells errors of its own API."""
    from rest_framework.response import Response

    return Response({"envelope": type(exc).__name__}, status=299)


def configure() -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="a-secret-key-of-a-site-with-strict-defaults-0123456789-0123456789",
        ALLOWED_HOSTS=["auth.example"],
        USE_TZ=True,
        USE_I18N=False,
        ROOT_URLCONF="tests.urls",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "rest_framework",
            "oauth2_provider",
            "django_lazyauth",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        STATIC_URL="/static/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
            "people": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": ":memory:",
                "ATOMIC_REQUESTS": True,
                "OPTIONS": {"transaction_mode": "IMMEDIATE"},
            },
        },
        DATABASE_ROUTERS=[f"{__name__}.EverythingElsewhere"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.StaticHTMLRenderer"],
            "DEFAULT_PARSER_CLASSES": [f"{__name__}.WrappingParser"],
            "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
            "DEFAULT_THROTTLE_RATES": {"anon": "1/day"},
            "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
            "DEFAULT_VERSION": "v1",
            "ALLOWED_VERSIONS": ["v1"],
            "DEFAULT_METADATA_CLASS": None,
            "EXCEPTION_HANDLER": f"{__name__}.in_an_envelope",
            "UNAUTHENTICATED_USER": None,
        },
        LAZYAUTH={
            "ISSUER": ISSUER,
            "VAULT_KEYS": ["test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
            "UPSTREAM_TOKEN_CLIENTS": {"somebody": ["acme"]},
        },
    )
    django.setup()


def ask() -> dict[str, list[object]]:
    """Return status and error of each endpoint, asked twice: a throttle of the host's would show."""
    from django.test import Client

    browser = Client(SERVER_NAME="auth.example")
    flow = "/authorizations/01890000-0000-7000-8000-000000000000/id-token"
    metadata = {"redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "none"}
    wanted = [
        ("get", "/sso/corp.example", None),
        ("post", "/sso/corp.example/discover", {}),
        ("get", "/identities", None),
        ("get", flow, None),
        ("post", flow, {"id_token": 1.5}),
        ("post", flow, "no object"),
        ("post", flow, {}),
        ("post", "/register", metadata),
        ("get", "/upstream-tokens/acme", None),
        ("put", "/upstream-tokens/acme", {}),
        ("post", "/token", "grant_type=authorization_code&code=x&client_id=y&code_verifier=" + "v" * 43),
    ]
    found: dict[str, list[object]] = {}
    for _ in range(2):
        for number, (method, path, body) in enumerate(wanted):
            sent = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
            if path == "/token":
                sent = {"data": body, "content_type": "application/x-www-form-urlencoded"}
            answer = getattr(browser, method)(path, secure=True, **sent)
            assert answer.headers["Content-Type"] == "application/json", (path, answer.content)
            assert answer.headers["Cache-Control"] == "no-store", path
            assert "envelope" not in answer.json(), (path, answer.json())
            found[f"{number} {method} {path.split('/')[1]}"] = [
                answer.status_code,
                answer.headers.get("WWW-Authenticate", "").partition(" ")[0],
            ]
    return found


if __name__ == "__main__":
    configure()
    from django.core.management import call_command

    call_command("migrate", database="people", verbosity=0)
    sys.stdout.write(json.dumps(ask()))
