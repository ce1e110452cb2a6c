"""A site that has run django-oauth-toolkit for a while, before and after it adds this app.

Run as ``python -m tests.site.dot_site before|after <database file> <notes file> [swapped]``: each phase is a
process of its own, as a deployment is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "https://auth.example"
REDIRECT_URI = "https://client.example/cb"
VERIFIER = "v" * 64
SECRET = "an-old-confidential-secret-that-dot-once-generated-0123456789"


def make_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def configure(phase: str, database: str, key: str, *, swapped: bool) -> None:
    import django
    from django.conf import settings

    ours = ["django_lazyauth"] if phase == "after" else []
    swappable = {"OAUTH2_PROVIDER_APPLICATION_MODEL": "swapped.Client"} if swapped else {}
    settings.configure(
        SECRET_KEY="a-secret-key-of-a-site-that-has-been-around-for-a-while-0123456789",
        ALLOWED_HOSTS=["auth.example"],
        USE_TZ=True,
        ROOT_URLCONF=f"tests.site.dot_urls_{phase}",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "rest_framework",
            *(["tests.site.swapped"] if swapped else []),
            "oauth2_provider",
            *ours,
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        STATIC_URL="/static/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": database,
                "OPTIONS": {"transaction_mode": "IMMEDIATE"},
            }
        },
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": key,
            "SCOPES": {"openid": "OpenID", "read": "Read"},
            "DEFAULT_SCOPES": ["read"],
        },
        **({"LAZYAUTH": {"ISSUER": ISSUER}} if phase == "after" else {}),
        **swappable,
    )
    django.setup()


def challenge() -> str:
    import base64
    import hashlib

    return base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def before() -> dict[str, str]:
    """Register clients and sign somebody in, with stock DOT only."""
    from django.contrib.auth import get_user_model
    from django.test import Client
    from oauth2_provider.models import get_application_model

    user = get_user_model().objects.create_user("ada", "ada@site.example", "a password of hers")
    applications = get_application_model().objects
    common = {
        "authorization_grant_type": "authorization-code",
        "redirect_uris": REDIRECT_URI,
        "algorithm": "RS256",
        "skip_authorization": True,
        "user": user,
    }
    applications.create(client_id="old-public", client_type="public", name="Old public", **common)
    applications.create(
        client_id="old-secret", client_type="confidential", name="Old secret", client_secret=SECRET, **common
    )
    browser = Client(SERVER_NAME="auth.example")
    browser.force_login(user)
    answer = browser.get(
        "/authorize/",
        {
            "response_type": "code",
            "client_id": "old-public",
            "redirect_uri": REDIRECT_URI,
            "scope": "openid read",
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
        },
        secure=True,
    )
    code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
    tokens = browser.post(
        "/token/",
        {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": "old-public",
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        },
        secure=True,
    ).json()
    return {"access_token": tokens["access_token"], "refresh_token": tokens["refresh_token"]}


def after(notes: dict[str, str]) -> dict[str, object]:
    """Use what DOT issued, and the clients it knows, with this app added and its URLs in the same place."""
    from django.contrib.auth import get_user_model
    from django.test import Client
    from oauth2_provider.models import get_access_token_model

    browser = Client(SERVER_NAME="auth.example")

    def post(path: str, form: dict[str, str]) -> object:
        from urllib.parse import urlencode

        return browser.post(
            path, urlencode(form), content_type="application/x-www-form-urlencoded", secure=True
        )

    bearer = {"HTTP_AUTHORIZATION": f"Bearer {notes['access_token']}"}
    result: dict[str, object] = {
        "api": browser.get("/api/", secure=True, **bearer).status_code,
        "userinfo": browser.get("/userinfo/", secure=True, **bearer).status_code,
    }
    refreshed = post(
        "/token/",
        {"grant_type": "refresh_token", "refresh_token": notes["refresh_token"], "client_id": "old-public"},
    )
    result["refresh"] = refreshed.status_code
    browser.force_login(get_user_model().objects.get(username="ada"))
    for client_id, secret in (("old-public", {}), ("old-secret", {"client_secret": SECRET})):
        answer = browser.get(
            "/authorize/",
            {
                "response_type": "code",
                "client_id": client_id,
                "redirect_uri": REDIRECT_URI,
                "scope": "openid read",
                "code_challenge": challenge(),
                "code_challenge_method": "S256",
            },
            secure=True,
        )
        code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
        exchanged = post(
            "/token/",
            {
                "grant_type": "authorization_code",
                "code": code,
                "client_id": client_id,
                "redirect_uri": REDIRECT_URI,
                "code_verifier": VERIFIER,
                **secret,
            },
        )
        result[client_id] = exchanged.status_code
    result["users"] = get_user_model().objects.count()
    result["plaintext tokens of ours"] = (
        get_access_token_model().objects.exclude(token="").exclude(token=notes["access_token"]).count()
    )
    return result


def main(phase: str, database: str, notes_file: str, swapped: str = "") -> None:
    from django.core.management import call_command

    notes_path = Path(notes_file)
    kept = json.loads(notes_path.read_text()) if notes_path.exists() else {"key": make_key()}
    configure(phase, database, kept["key"], swapped=bool(swapped))
    call_command("migrate", verbosity=0)
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    result = before() if phase == "before" else after(kept)
    notes_path.write_text(json.dumps({**kept, **result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
