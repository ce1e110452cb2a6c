"""django-allauth's ``idp.oidc`` in a project of its own, with its own pages. The database ends with the process."""

import secrets
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from process import serve

CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SIGNED_OUT_URI = sys.argv[1:]
folder = tempfile.TemporaryDirectory()

settings.configure(
    SECRET_KEY=secrets.token_urlsafe(48),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(folder.name) / "db.sqlite3",
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    # People sign in with passwords that the tests know.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.idp.oidc",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    ACCOUNT_EMAIL_VERIFICATION="none",
    # All tests come from one address.
    ACCOUNT_RATE_LIMITS=False,
    USE_TZ=True,
)
django.setup()

urlpatterns = [path("accounts/", include("allauth.urls")), path("", include("allauth.idp.urls"))]


class Site:
    def __init__(self, issuer, key):
        settings.IDP_OIDC_PRIVATE_KEY = key.as_pem(private=True).decode()
        self.wsgi = get_wsgi_application()

    def knows(self, sub, claims):
        from allauth.account.models import EmailAddress
        from django.contrib.auth import get_user_model

        user = get_user_model().objects.filter(username=sub).first()
        if user is None:
            user = get_user_model().objects.create_user(sub, password="a password of allauth")
        user.first_name, user.last_name = claims["name"].split()
        user.email = claims["email"]
        user.save()
        EmailAddress.objects.filter(user=user).delete()
        EmailAddress.objects.create(
            user=user, email=claims["email"], verified=claims["email_verified"], primary=True
        )


def register():
    from allauth.idp.oidc.models import Client

    client = Client(
        id=CLIENT_ID,
        name="The site of the tests",
        scopes="openid\nprofile\nemail",
        grant_types="authorization_code\nrefresh_token",
        redirect_uris=REDIRECT_URI,
    )
    client.set_secret(CLIENT_SECRET)
    client.set_post_logout_redirect_uris([SIGNED_OUT_URI])
    client.save()


call_command("migrate", verbosity=0)
register()
serve(Site)
