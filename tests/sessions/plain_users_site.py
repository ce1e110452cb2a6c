"""A site whose user model has no ``is_active`` column. ``python -m tests.sessions.plain_users_site``: prints JSON."""

from __future__ import annotations

import json
import sys

BELIEVING = {"class": "tests.support.providers.BelievingProvider"}


def configure():
    import django
    from django.conf import settings

    import tests.settings as defaults

    settings.configure(
        SECRET_KEY=defaults.SECRET_KEY,
        ALLOWED_HOSTS=["auth.example"],
        USE_TZ=True,
        ROOT_URLCONF="tests.urls",
        AUTH_USER_MODEL="plain_users.Person",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "rest_framework",
            "tests.sessions.plain_users",
            "oauth2_provider",
            "django_lazyauth",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        STATIC_URL="/static/",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        # The tables are made at once: what makes them step by step is shown elsewhere.
        MIGRATION_MODULES={"oauth2_provider": None, "lazyauth": None},
        LAZYAUTH=defaults.LAZYAUTH | {"PROVIDERS": dict.fromkeys(("demo", "other"), BELIEVING)},
    )
    django.setup()


def main():
    configure()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)

    from django_lazyauth.models import PendingAuthorization
    from django_lazyauth.upkeep.sweep import sweep
    from tests.sessions.conftest import signed_in_at
    from tests.support.journey import get
    from tests.web.site import register_client

    ada = signed_in_at(register_client("trail"))
    found = {"alive": ada.is_alive(), "page": get(ada.browser, "/account/sessions").status_code}
    list(sweep())
    get_user_model().objects.get().save()
    found["alive after a save and a sweep"] = ada.is_alive()
    get_user_model().objects.get().delete()
    found["userinfo after deletion"] = ada.userinfo().status_code
    found["rows left"] = PendingAuthorization.objects.count()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
