"""What the tests of the pages share: clients to register, people to sign in, answers to read."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from bs4 import BeautifulSoup
from django.apps import apps
from django.contrib.auth import get_user_model
from oauth2_provider.models import get_application_model

from django_lazyauth.errors import IdentityRejected, ProviderDenied, ProviderUnavailable
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.sessions.browser import SESSION_KEY
from tests.support.journey import ISSUER, REDIRECT_URI, OAuthClient, get, make_browser
from tests.support.providers import BelievingProvider

FAILURES = {
    "denied": ProviderDenied("denied"),
    "down": ProviderUnavailable("unavailable", debug="upstream-said-something-secret"),
    "rejected": IdentityRejected("nonce"),
}


class RecordingProvider(BelievingProvider):
    """Remembers who asked it, and fails when the code says so."""

    completed: ClassVar[list[tuple[str, str]]] = []

    def complete(self, request, pending, private):
        self.completed.append((self.name, request.GET.get("code", "")))
        code = request.GET.get("code") or "denied"
        if code in FAILURES or len(code) > 255:
            raise FAILURES.get(code, FAILURES["rejected"])
        return super().complete(request, pending, private)


class ClosedProvider(BelievingProvider):
    """Cannot even begin."""

    def begin(self, pending, *, state, callback_uri):
        raise ProviderUnavailable("unavailable")


def register_client(client_id: str = "one-more-client", **fields) -> OAuthClient:
    """Register a public client of the operator's, and return what it keeps."""
    row = get_application_model().objects.create(
        client_id=client_id,
        **{
            "name": "Client of the tests",
            "client_type": "public",
            "authorization_grant_type": "authorization-code",
            "redirect_uris": REDIRECT_URI,
            "client_secret": "",
            "hash_client_secret": False,
        }
        | fields,
    )
    return OAuthClient(row.client_id, redirect_uri=row.redirect_uris.split()[0] if row.redirect_uris else "")


def self_registered(client_id: str = "stranger", source: str = "dcr", **fields) -> OAuthClient:
    """Register a client as a stranger does."""
    return register_client(client_id, registration_source=source, **fields)


def change_client(client: OAuthClient, **fields) -> None:
    get_application_model().objects.filter(client_id=client.client_id).update(**fields)


def make_user(name: str = "ada", **fields):
    return get_user_model().objects.create_user(name, f"{name}@people.example", "x", **fields)


def signed_in(user, *, ago: timedelta = timedelta(0), browser=None):
    """Return a browser in which *user* signed in on this site *ago*."""
    browser = browser or make_browser()
    browser.force_login(user)
    session = browser.session
    session[SESSION_KEY] = {"auth_time": time.time() - ago.total_seconds(), "amr": ["pwd"], "acr": ""}
    session.save()
    return browser


def ask(browser, client: OAuthClient, **changes):
    """Follow the client's link."""
    return get(browser, f"/authorize?{client.authorize_query(**changes)}")


def ask_raw(browser, query: str):
    """Follow a link whose query no library would write."""
    return get(browser, "/authorize", QUERY_STRING=query)


def answer_to(client: OAuthClient, response) -> dict[str, str]:
    """Return what the client is told at its redirect URI: each parameter once, always with ``iss``."""
    assert response.status_code == 303, (response.status_code, response.content[:2000])
    location = response.headers["Location"]
    assert location.startswith(client.redirect_uri), location
    parts = urlsplit(location)
    assert not parts.fragment
    found = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values()), found
    answer = {name: values[0] for name, values in found.items()}
    assert answer["iss"] == ISSUER
    return answer


def posted_to(client: OAuthClient, response) -> dict[str, str]:
    """Return what the form of the page brings to the client's redirect URI, always with ``iss``."""
    assert response.status_code == 200, (response.status_code, response.headers.get("Location"))
    (form,) = soup_of(response).find_all("form")
    assert (form["method"], form["action"]) == ("post", client.redirect_uri)
    assert form.find("button") is not None
    answer = {field["name"]: field["value"] for field in form.find_all("input")}
    assert answer["iss"] == ISSUER
    return answer


def assert_error_page(response, status: int = 400) -> str:
    """Check that the answer is a page for a person which leads nowhere; return its words."""
    assert response.status_code == status, (response.status_code, response.headers.get("Location"))
    assert "Location" not in response.headers
    soup = soup_of(response)
    message = soup.find(attrs={"role": "alert"})
    assert message is not None
    assert message.get_text(strip=True)
    assert soup.find("form") is None
    assert not [link["href"] for link in soup.find_all("a") if not link["href"].startswith("/account/")]
    assert re.search(r"Reference [0-9A-F]{8}", soup.main.get_text(" ")), (
        "there is nothing to name to the operator"
    )
    return message.get_text(strip=True)


def without_reference(response) -> str:
    """Return an error page without what is random in it, and its time."""
    return re.sub(r"Reference [0-9A-F]{8} · <time.*?</time>", "", response.content.decode())


def soup_of(response) -> BeautifulSoup:
    assert response.headers["Content-Type"].startswith("text/html")
    return BeautifulSoup(response.content, "html.parser")


def is_choice_page(response) -> bool:
    return response.status_code == 200 and soup_of(response).find("button", {"name": "provider"}) is not None


def is_consent_page(response) -> bool:
    return response.status_code == 200 and soup_of(response).find("button", {"name": "decision"}) is not None


def rows() -> dict[str, int]:
    """Count the rows of every table but that of the providers, which say nothing of anybody."""
    models = [one for one in apps.get_models() if one is not ProviderKeySet and not one._meta.proxy]
    return {model._meta.label: model._default_manager.count() for model in models}
