"""Spec 9: an operator sees of each provider how it goes, refreshes it, and tries it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.urls import include, path
from django.utils import timezone

from django_lazyauth.kit import fetch
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.providers import key_refresh

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

LIST = "/admin/lazyauth/providerkeyset/"


def person(client, *permissions: str):
    user = get_user_model().objects.create_user("operator", "operator@site.example", "pw", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


@pytest.fixture
def operator(client):
    return person(client, "view_providerkeyset", "refresh_providerkeyset", "test_providerkeyset")


@pytest.fixture
def acme(upstream):
    assert key_refresh.refresh_provider("acme").ok
    return ProviderKeySet.objects.get(pk="acme")


def tools(page) -> list[str]:
    return [
        link.get_text(strip=True)
        for link in BeautifulSoup(page.content, "html.parser").select(".object-tools a")
    ]


def log() -> list[tuple[str, str]]:
    return [(entry.object_id, entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")]


def test_the_page_says_how_it_goes(operator, acme):
    now = timezone.now()
    ProviderKeySet.objects.update(
        signed_in_at=now,
        failed_at=now - timedelta(minutes=7),
        failure="down: unreachable",
        fetched_at=now - timedelta(minutes=12),
        method_found="client_secret_post",
        notes=["end_session_endpoint: url"],
    )
    row = BeautifulSoup(operator.get(LIST).content, "html.parser").select_one("#result_list tbody tr")
    cells = row.get_text(" ", strip=True).replace("\xa0", " ")
    for words in ("acme", "down: unreachable, 7 minutes ago", "12 minutes", "client_secret_post"):
        assert words in cells
    page = operator.get(f"{LIST}acme/change/").content.decode().replace("\xa0", " ")
    for words in ("end_session_endpoint: url", "rs-", "es-", acme.issuer, "Fresh until"):
        assert words in page
    assert 'name="_save"' not in page


def test_refresh_now_asks_first_and_then_fetches(operator, acme, upstream):
    old = timezone.now() - timedelta(hours=2)
    ProviderKeySet.objects.update(fetched_at=old)
    asked = len(upstream.requests())
    page = operator.get(f"{LIST}acme/act/refresh/")
    assert BeautifulSoup(page.content, "html.parser").find(
        "input", {"type": "submit", "value": "Refresh now"}
    )
    assert len(upstream.requests()) == asked
    done = operator.post(f"{LIST}acme/act/refresh/", follow=True)
    assert "The metadata and keys of acme were fetched." in done.content.decode()
    assert ProviderKeySet.objects.get().fetched_at > old
    assert log() == [("acme", "Refreshed.")]


def test_a_refresh_that_fails_says_why_and_keeps_what_is_stored(operator, acme, upstream):
    upstream.control(jwks_answer="500")
    done = operator.post(f"{LIST}acme/act/refresh/", follow=True)
    assert "could not be fetched: status" in done.content.decode()
    assert ProviderKeySet.objects.get().jwks == acme.jwks
    assert log() == [("acme", "Refresh failed: status")]


def test_try_it_asks_first_and_then_shows_what_check_provider_prints(operator, acme, upstream):
    operator.get(f"{LIST}acme/act/try/")
    assert upstream.requests("/token") == []
    page = operator.post(f"{LIST}acme/act/try/")
    text = BeautifulSoup(page.content, "html.parser").get_text(" ", strip=True)
    assert "It works." in text
    assert "The provider knows this site by client_secret_basic." in text
    assert "no-store" in page.headers["Cache-Control"]
    assert log() == [("acme", "Tried: ok.")]
    assert upstream.client_secret not in page.content.decode()


def test_what_has_to_be_fixed_is_told_above(operator, acme, settings):
    settings.LAZYAUTH["PROVIDERS"]["acme"]["client_secret"] = "of-another-site"
    page = BeautifulSoup(operator.post(f"{LIST}acme/act/try/").content, "html.parser")
    assert page.select_one(".messagelist").get_text(strip=True) == "Something has to be fixed."
    assert page.dl.dt.get_text(" ", strip=True) == "fix client"
    assert "invalid_client" in page.dl.dd.get_text()


def test_a_provider_that_nobody_used_yet_can_be_tried_from_the_list(operator, upstream, settings):
    settings.LAZYAUTH["PROVIDERS"]["hub"] = upstream.oauth2_config()
    page = operator.get(LIST)
    links = {
        link.get_text(strip=True): link["href"]
        for link in BeautifulSoup(page.content, "html.parser").find_all("a")
    }
    assert {"Try demo", "Try other", "Try acme", "Try hub"} <= set(links)
    assert "knows this site" in operator.post(links["Try hub"]).content.decode()
    assert log() == [("hub", "Tried: ok.")]


def test_who_may_only_look_can_neither_refresh_nor_try(client, acme, upstream):
    reader = person(client, "view_providerkeyset")
    asked = len(upstream.requests())
    assert "Try" not in BeautifulSoup(reader.get(LIST).content, "html.parser").get_text()
    assert tools(reader.get(f"{LIST}acme/change/")) == ["History"]
    for act in ("refresh", "try"):
        assert reader.get(f"{LIST}acme/act/{act}/").status_code == 403
        assert reader.post(f"{LIST}acme/act/{act}/").status_code == 403
    assert len(upstream.requests()) == asked
    assert log() == []


def test_only_what_can_be_done_is_offered(operator, acme, settings):
    assert tools(operator.get(f"{LIST}acme/change/")) == ["Try it", "Refresh now", "History"]
    ProviderKeySet.objects.create(provider="demo")
    assert tools(operator.get(f"{LIST}demo/change/")) == ["Try it", "History"]
    assert operator.post(f"{LIST}demo/act/refresh/").status_code == 404
    ProviderKeySet.objects.create(provider="gone")
    assert tools(operator.get(f"{LIST}gone/change/")) == ["History"]
    for act in ("refresh", "try"):
        assert operator.post(f"{LIST}gone/act/{act}/").status_code == 404
        assert operator.post(f"{LIST}nobody/act/{act}/").status_code == 404


def test_no_transaction_is_open_while_a_provider_is_asked(operator, acme, monkeypatch):
    """The site has ``ATOMIC_REQUESTS``, and a provider may take seconds."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    open_there = []
    send = fetch.request._send

    def spy(*args, **kwargs):
        open_there.append(connection.in_atomic_block)
        return send(*args, **kwargs)

    monkeypatch.setattr(fetch.request, "_send", spy)
    for act in ("refresh", "try"):
        assert operator.post(f"{LIST}acme/act/{act}/").status_code in (200, 302)
    assert open_there
    assert not any(open_there)
