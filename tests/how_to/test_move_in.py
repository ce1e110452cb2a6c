"""``docs/how-to/move-in.md``: a site of django-allauth, where people have passwords and accounts at Google."""

from __future__ import annotations

import json
import sqlite3
from contextlib import ExitStack, closing

import httpx
import pytest

from tests.browser.client import OAuthClient
from tests.support.two_sites import free_port

from .person import ADDRESS, PASSWORD, Person, tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE, APP = "how-to/move-in.md", "From django-allauth, python-social-auth or an earlier deployment"
SETTINGS = """
INSTALLED_APPS += ["allauth", "allauth.account", "allauth.socialaccount", "allauth.socialaccount.providers.google"]
MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_EMAIL_VERIFICATION = "none"
LOGIN_REDIRECT_URL = "/accounts/email/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
URLS = """
from django.urls import include, path

urlpatterns = [
    path("accounts/", include("allauth.urls")),
]
"""
#: Who signed in there before, in the rows that django-allauth writes.
BEFORE = """
import json
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.auth.models import User
from django.core.management import call_command

call_command("migrate", verbosity=0)
given = json.loads({given!r})
ada = User.objects.create_user("ada", given["address"], given["password"])
EmailAddress.objects.create(user=ada, email=ada.email, verified=True, primary=True)
told = dict(sub="1001", email=ada.email, email_verified=True, name="Ada")
account = SocialAccount.objects.create(user=ada, provider="google", uid="1001", extra_data=told)
SocialToken.objects.create(account=account, token="an access token", token_secret="a refresh token")
"""


def test_people_of_allauth_keep_account_password_session_and_tokens(reader):
    """Spec 5, spec 11: one command, and nobody signs in again."""
    base = f"http://127.0.0.1:{free_port()}"
    site = reader("site", {"https://example.org": base})
    site.type("django-admin startproject mysite .")
    site.write("mysite/settings.py", SETTINGS, end=True)
    site.write("mysite/urls.py", URLS)
    given = json.dumps({"address": ADDRESS, "password": PASSWORD})
    site.write("before.py", BEFORE.format(given=given))
    site.type("python manage.py shell < before.py")
    # As if it stood in the file.
    site.names["./.env; set +a"] = "./.env; GOOGLE_CLIENT_ID=id; GOOGLE_CLIENT_SECRET=secret; set +a"

    site.follow(PAGE, APP)
    with closing(sqlite3.connect(site.folder / "db.sqlite3")) as rows:
        of = "FROM lazyauth_provideridentity JOIN auth_user ON auth_user.id = user_id"
        assert rows.execute(f"SELECT provider, subject, username {of}").fetchall() == [
            ("google", "1001", "ada")
        ]
        assert rows.execute("SELECT provider FROM lazyauth_upstreamtoken").fetchall() == [("google",)]
        assert rows.execute("SELECT count(*) FROM socialaccount_socialaccount").fetchone() == (0,)
        stored = "".join(rows.iterdump())
    assert "a refresh token" not in stored

    site.follow(PAGE, "Sign in on the site's own page")
    site.type(f"python manage.py runserver --noreload {base.rpartition(':')[2]}")
    # The site itself answers there, after the code arrived.
    registration = {"redirect_uris": [f"{base}/health"], "token_endpoint_auth_method": "none"}
    registered = httpx.post(f"{base}/register", json=registration, trust_env=False, timeout=60).json()
    client = OAuthClient(f"{base}/", registered["client_id"], f"{base}/health")
    with ExitStack() as stack:
        of_allauth, elsewhere, sent_there = (
            stack.enter_context(Person(site, base_url=base)) for _ in range(3)
        )
        # Beside it: whom allauth signed in is recognised.
        of_allauth.submit(of_allauth.http.get("/accounts/login/"), login=ADDRESS, password=PASSWORD)
        page = of_allauth.http.get(client.url())
        assert 'value="allow"' in page.text
        assert ADDRESS in page.text
        # And the password is the same here.
        assert tokens(elsewhere, client, elsewhere.sign_in(client.url()), "/token")["access_token"]
        # The site's own page may ask for more than the password.
        page = sent_there.submit(sent_there.http.get(client.url()), provider="site")
        assert page.url.path == "/accounts/login/"
        back = sent_there.submit(page, login=ADDRESS, password=PASSWORD)
        assert tokens(sent_there, client, back, "/token")["access_token"]
        # Who is asked to sign in anew does not come by with a sign-in of before.
        page = sent_there.submit(sent_there.http.get(client.url(prompt="login")), provider="site")
        assert (page.url.path, "code" in page.url.params) == ("/callback/site", False)
