"""``docs/how-to/existing-site.md``: a site of django-oauth-toolkit with live tokens moves in."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.browser.client import OAuthClient
from tests.support.two_sites import free_port

from .person import PASSWORD, Person, tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = "how-to/existing-site.md"
URLS = """
from django.urls import include, path
from oauth2_provider.contrib.rest_framework import TokenHasScope
from rest_framework.response import Response
from rest_framework.views import APIView


class Api(APIView):
    permission_classes = [TokenHasScope]
    required_scopes = ["read"]

    def get(self, request):
        return Response({"user": request.user.username})


urlpatterns = [
    path("o/", include("oauth2_provider.urls")),
    path("api", Api.as_view()),
]
"""
SETTINGS = """
import os
INSTALLED_APPS += ["rest_framework", "oauth2_provider"]
OAUTH2_PROVIDER = {"SCOPES": {"read": "Read things"}, "OAUTH2_VALIDATOR_CLASS": "mysite.validators.Validator"}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["oauth2_provider.contrib.rest_framework.OAuth2Authentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
LOGIN_URL = "/o/login"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
VALIDATORS = """
from oauth2_provider.oauth2_validators import OAuth2Validator


class Validator(OAuth2Validator):
    def get_additional_claims(self, request):
        return {"department": "Analysis"}
"""
#: What the site did before, with its own code only: a person allows a client, which redeems its code.
BEFORE = """
import json, sys
from django.contrib.auth.models import User
from django.test import Client
from oauth2_provider.models import Application

given = json.loads({given!r})
ada = User.objects.create_user("ada", password=given["password"])
app = dict(client_type="public", authorization_grant_type="authorization-code", skip_authorization=True)
Application.objects.create(client_id="old", name="Old", redirect_uris=given["redirect_uri"], user=ada, **app)
browser = Client(SERVER_NAME="127.0.0.1")
browser.force_login(ada)
answer = browser.get("/o/authorize/?" + given["query"])
code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
form = dict(grant_type="authorization_code", code=code, client_id="old", redirect_uri=given["redirect_uri"])
print(browser.post("/o/token/", form | dict(code_verifier=given["verifier"])).content.decode())
"""


def test_clients_people_and_live_tokens_work_after_the_page_was_followed(reader):
    """Spec 11: a site moves in without moving a row."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    site = reader(
        "site", {"https://example.org": base, "manage.py runserver": f"manage.py runserver --noreload {port}"}
    )
    site.type("django-admin startproject mysite .")
    site.write("mysite/settings.py", SETTINGS, end=True)
    site.write("mysite/urls.py", URLS)
    site.write("mysite/validators.py", VALIDATORS)
    site.type("python manage.py migrate")
    # The site itself answers there, after the code arrived.
    client = OAuthClient(f"{base}/o/", "old", f"{base}/api", scope="read")
    query = client.url().partition("?")[2]
    given = {"query": query, "verifier": client.verifier, "redirect_uri": client.redirect_uri}
    site.write("before.py", BEFORE.format(given=json.dumps(given | {"password": PASSWORD})))
    old = json.loads(site.type("python manage.py shell < before.py").strip().splitlines()[-1])

    site.follow(PAGE)
    assert "lazyauth.W018" not in site.try_("python manage.py check").stderr
    site.type(site.mine("python manage.py runserver"))
    with Person(site, base_url=base) as person:

        def of(token: str) -> httpx.Response:
            return person.http.get("/api", headers={"Authorization": f"Bearer {token}"})

        assert of(old["access_token"]).json() == {"user": "ada"}
        form = {"grant_type": "refresh_token", "refresh_token": old["refresh_token"], "client_id": "old"}
        refreshed = person.http.post("/o/token/", data=form).json()
        assert of(refreshed["access_token"]).json() == {"user": "ada"}
        # Who has a password here types it, and the client that was trusted still is.
        back = person.sign_in(client.url(), name="ada")
        issued = tokens(person, client, back, "/o/token/")
        assert of(issued["access_token"]).json() == {"user": "ada"}
        pages = person.http.get("/o/applications/", follow_redirects=False)
        assert pages.status_code in (200, 302)
