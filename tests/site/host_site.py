"""Sites of hosts that differ from the tests' own in one respect each. ``python -m tests.site.host_site NAME``.

On each, one person signs in through the pages, and a client redeems the code. What was found is printed as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import tests.settings as defaults
from tests.support.mail import mail_settings

PROVIDERS = {
    "demo": {"class": "tests.support.providers.BelievingProvider"},
    "password": {"type": "password"},
}
MEMORY = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
#: Where the proxy mounts the site. It takes this away from the path before it asks.
PREFIX = "/oauth"


class RowsElsewhere:
    """The default database holds the rows of nobody."""

    def db_for_read(self, model, **hints):
        return "people"

    def db_for_write(self, model, **hints):
        return "people"

    def allow_migrate(self, db, app_label, **hints):
        return db == "people"


def axes() -> dict[str, Any]:
    return {
        "INSTALLED_APPS": [*defaults.INSTALLED_APPS, "axes"],
        "MIDDLEWARE": [*defaults.MIDDLEWARE, "axes.middleware.AxesMiddleware"],
        "AUTHENTICATION_BACKENDS": [
            "axes.backends.AxesStandaloneBackend",
            "django.contrib.auth.backends.ModelBackend",
        ],
        "AXES_FAILURE_LIMIT": 3,
    }


def allauth() -> dict[str, Any]:
    return {
        "INSTALLED_APPS": [
            *defaults.INSTALLED_APPS,
            "allauth",
            "allauth.account",
            "allauth.socialaccount",
            "allauth.socialaccount.providers.google",
        ],
        "MIDDLEWARE": [*defaults.MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"],
        "AUTHENTICATION_BACKENDS": [
            "django.contrib.auth.backends.ModelBackend",
            "allauth.account.auth_backends.AuthenticationBackend",
        ],
        "ROOT_URLCONF": "tests.site.urls_beside_allauth",
    }


def csp() -> dict[str, Any]:
    return {
        "INSTALLED_APPS": [*defaults.INSTALLED_APPS, "csp"],
        "MIDDLEWARE": ["csp.middleware.CSPMiddleware", *defaults.MIDDLEWARE],
        "CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"default-src": ["'none'"]}},
    }


def login_required() -> dict[str, Any]:
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    return {"MIDDLEWARE": [*defaults.MIDDLEWARE, required]}


def router() -> dict[str, Any]:
    return {
        "DATABASES": {"default": MEMORY, "people": MEMORY},
        "DATABASE_ROUTERS": [f"{__name__}.RowsElsewhere"],
    }


#: Name → what the site has in its settings.
HOSTS: dict[str, Callable[[], dict[str, Any]]] = {
    "address_users": lambda: {
        "AUTH_USER_MODEL": "address_users.Person",
        "INSTALLED_APPS": [*defaults.INSTALLED_APPS, "tests.site.address_users"],
    },
    "allauth": allauth,
    "asgi": lambda: {"ALLOWED_HOSTS": ["testserver"]},
    "atomic_requests": lambda: {"DATABASES": {"default": MEMORY | {"ATOMIC_REQUESTS": True}}},
    "axes": axes,
    "csp": csp,
    "login_required": login_required,
    "router": router,
    "script_name": lambda: {
        "FORCE_SCRIPT_NAME": PREFIX,
        "LAZYAUTH": defaults.LAZYAUTH
        | {"PROVIDERS": PROVIDERS, "ISSUER": defaults.LAZYAUTH["ISSUER"] + PREFIX},
    },
    "signed_cookies": lambda: {
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        "SESSION_SAVE_EVERY_REQUEST": True,
    },
}


def configure(name: str) -> None:
    import django
    from django.conf import settings

    taken = ("INSTALLED_APPS", "MIDDLEWARE", "PASSWORD_HASHERS", "ROOT_URLCONF", "SECRET_KEY", "STATIC_URL")
    settings.configure(
        **{key: getattr(defaults, key) for key in (*taken, "TEMPLATES", "USE_TZ", "DEFAULT_AUTO_FIELD")}
        | mail_settings("django.core.mail.backends.locmem.EmailBackend")
        | {
            "ALLOWED_HOSTS": ["auth.example"],
            "DATABASES": {"default": MEMORY},
            # The tables are made at once: what makes them step by step is shown elsewhere.
            "MIGRATION_MODULES": {"oauth2_provider": None, "lazyauth": None, "address_users": None},
            "LAZYAUTH": defaults.LAZYAUTH | {"PROVIDERS": PROVIDERS},
        }
        | HOSTS[name]()
    )
    django.setup()


def stripping_proxy(browser, followed: list[str]):
    """Let *browser* ask below the prefix, as through a proxy that takes it away."""
    ask = browser.generic

    def stripped(method, path, *args, **kwargs):
        followed.append(path)
        return ask(method, path.removeprefix(PREFIX), *args, **kwargs)

    browser.generic = stripped
    return browser


def asgi_browser():
    """Return a browser whose requests go through Django's ASGI handler."""
    from asgiref.sync import async_to_sync
    from django.test import AsyncClient

    # The host of its requests is fixed.
    own = {"accept-language": "en"}

    class Browser(AsyncClient):
        def get(self, *args, headers=None, **kwargs):
            return async_to_sync(super().get)(*args, headers=own | (headers or {}), **kwargs)

        def post(self, *args, headers=None, **kwargs):
            return async_to_sync(super().post)(*args, headers=own | (headers or {}), **kwargs)

    return Browser(enforce_csrf_checks=True)


def sign_in_and_redeem(browser, client, machine) -> dict[str, Any]:
    """Sign somebody in with *browser*. *machine* is what the client asks with."""
    from tests.support.journey import come_back, consent, get, post_form, query_of, redeem, start

    redirect = come_back(browser, start(browser, client), subject="ada")
    page = get(browser, redirect.headers["Location"])
    code = query_of(consent(browser, redirect).headers["Location"])["code"]
    answer = redeem(client, code, browser=machine)
    tokens = answer.json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": client.client_id,
    }
    return {
        "policy": page.headers["Content-Security-Policy"],
        "redeemed": answer.status_code,
        "address": get(machine, "/userinfo", headers=bearer).json().get("email"),
        "refreshed": post_form(machine, "/token", form).status_code,
        # Last: it ends the session.
        "a second time": redeem(client, code, browser=machine).status_code,
    }


def guess(number: int, name: str, *passwords: str) -> list[int]:
    """Try each password on the page of the password provider; return the statuses."""
    from tests.support.journey import get, make_browser, start, submit
    from tests.web.site import register_client

    browser = make_browser()
    sent = start(browser, register_client(f"client-{number}"), provider="password")
    page = get(browser, sent.headers["Location"])
    return [submit(browser, page, email=name, password=each).status_code for each in passwords]


def try_passwords() -> dict[str, Any]:
    from django.contrib.auth import get_user_model

    get_user_model().objects.create_user("grace", password="a password of hers")
    return {
        "right": guess(1, "grace", "a password of hers"),
        "wrong": guess(2, "grace", *["wrong"] * 3),
        "right, but too late": guess(3, "grace", "a password of hers"),
    }


def sign_in_at_allauth() -> dict[str, Any]:
    """Sign somebody in on the page of allauth, and ask for a code then."""
    from django.contrib.auth import get_user_model

    from tests.support.journey import form_of, get, make_browser, post
    from tests.web.site import register_client

    get_user_model().objects.create_user("grace", password="a password of hers")
    browser = make_browser()
    _action, fields = form_of(get(browser, "/accounts/login/"))
    typed = fields | {"login": "grace", "password": "a password of hers"}
    referer = {"referer": "https://auth.example/accounts/login/"}
    signed_in = post(browser, "/accounts/login/", typed, headers=referer)
    asked = get(browser, f"/authorize?{register_client('second').authorize_query()}")
    return {"at allauth": signed_in.status_code, "is known here": b"grace" in asked.content}


def run(name: str) -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import router as databases

    from django_lazyauth.models import PendingAuthorization
    from tests.support.journey import get, make_browser
    from tests.web.site import register_client

    call_command(
        "migrate", database=databases.db_for_write(PendingAuthorization), run_syncdb=True, verbosity=0
    )
    followed: list[str] = []
    browser, machine = (
        (asgi_browser(), asgi_browser()) if name == "asgi" else (make_browser(), make_browser())
    )
    if name == "script_name":
        stripping_proxy(browser, followed)
    found = sign_in_and_redeem(browser, register_client("trail"), machine)
    match name:
        case "axes":
            found |= try_passwords()
        case "allauth":
            found |= sign_in_at_allauth()
        case "script_name":
            metadata = get(make_browser(), f"/.well-known/oauth-authorization-server{PREFIX}")
            found["token_endpoint"] = metadata.json()["token_endpoint"]
            # The first one was typed, and the provider's answer goes where the test says.
            pages = [path for path in followed if not path.startswith(("/authorize?", "/callback/"))]
            found["leave the mount"] = [path for path in pages if not path.startswith(f"{PREFIX}/")]
            found["stay below it"] = len(pages)
    return found


if __name__ == "__main__":
    configure(sys.argv[1])
    sys.stdout.write(json.dumps(run(sys.argv[1])))
