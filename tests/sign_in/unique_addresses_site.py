"""A site whose user model has unique addresses. ``python -m tests.sign_in.unique_addresses_site``: prints JSON.

Two people sign in with a provider that verifies no address, and one whose address is verified.
"""

from __future__ import annotations

import json
import os
import sys


def configure():
    import django
    from django.conf import settings

    import tests.settings as defaults

    providers = {
        "demo": {"class": "tests.support.providers.BelievingProvider"},
        "other": {"class": "tests.support.providers.UnverifiedProvider"},
        "microsoft": {"preset": "microsoft", "client_id": "x", "client_secret": "y"},
        "google": {"preset": "google", "client_id": "x", "client_secret": "y"},
        "twitch": {"preset": "twitch", "client_id": "x", "client_secret": "y"},
    }
    names = (
        "SECRET_KEY",
        "USE_TZ",
        "ROOT_URLCONF",
        "MIDDLEWARE",
        "TEMPLATES",
        "STATIC_URL",
        "DEFAULT_AUTO_FIELD",
    )
    settings.configure(
        **{name: getattr(defaults, name) for name in names},
        ALLOWED_HOSTS=["auth.example"],
        AUTH_USER_MODEL="unique_addresses.Person",
        INSTALLED_APPS=[*defaults.INSTALLED_APPS, "tests.sign_in.unique_addresses"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        # The tables are made at once: what makes them step by step is shown elsewhere.
        MIGRATION_MODULES={"oauth2_provider": None, "lazyauth": None},
        LAZYAUTH=defaults.LAZYAUTH
        | {"PROVIDERS": providers, "UNVERIFIED_EMAIL": os.environ.get("UNVERIFIED_EMAIL") or "refuse"},
    )
    django.setup()


def redeemed(client, provider, subject):
    from tests.support.journey import come_back, consent, make_browser, query_of, redeem, start

    browser = make_browser()
    redirect = come_back(
        browser, start(browser, client, provider=provider), subject=subject, provider=provider
    )
    code = query_of(consent(browser, redirect).headers["Location"])["code"]
    return redeem(client, code).json().get("error_description", "")


def claims_of(user):
    """Return what a client is told of the address."""
    from django_lazyauth.tokens.id import has_verified_email, user_claims

    claims = user_claims(user, ["email"], subject="", email_verified=has_verified_email(user))
    return [claims.get("email"), claims.get("email_verified")]


def main():
    configure()
    from django.contrib.auth import get_user_model
    from django.core import checks
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    from tests.web.site import register_client

    client = register_client("trail")
    refusals = [redeemed(client, "other", subject) for subject in ("ada", "grace")]
    refusals.append(redeemed(client, "demo", "alan"))
    addresses = list(get_user_model().objects.order_by("pk").values_list("email", flat=True))
    told = [claims_of(user) for user in get_user_model().objects.order_by("pk")]
    warned = [found.msg for found in checks.run_checks() if found.id == "lazyauth.W014"]
    sys.stdout.write(
        json.dumps({"refusals": refusals, "addresses": addresses, "warned": warned, "claims": told})
    )


if __name__ == "__main__":
    main()
