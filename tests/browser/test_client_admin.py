"""The operators' list of clients in Chromium: pictures of it, and a new secret that is shown once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Error

from .person import Somebody
from .site import Site

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MAX_BYTES = 200_000
CLIENTS = {
    "Trail Planner": {"token_endpoint_auth_method": "none", "redirect_uris": ["http://127.0.0.1/callback"]},
    "Field Notes": {
        "redirect_uris": ["https://field-notes.example/cb"],
        "policy_uri": "https://field-notes.example/privacy",
        "contacts": ["ops@field-notes.example"],
    },
}


@pytest.fixture
def clients(site: Site) -> Iterator[dict[str, str]]:
    """Two clients that registered themselves; their ids by name."""
    ids = {}
    for name, metadata in CLIENTS.items():
        answer = httpx.post(f"{site.url}/register", json={"client_name": name, **metadata}, trust_env=False)
        assert answer.status_code == 201, answer.text
        ids[name] = answer.json()["client_id"]
    yield ids
    site.execute("DELETE FROM lazyauth_clientregistration")
    for client_id in ids.values():
        site.execute("DELETE FROM oauth2_provider_application WHERE client_id = ?", client_id)


@pytest.fixture
def operator(site: Site, somebody) -> Somebody:
    """Somebody who is signed in to the admin."""
    person = somebody(viewport={"width": 1440, "height": 900})
    person.sign_in_as_operator(site)
    return person


def picture(operator: Somebody, name: str, tmp_path: Path) -> None:
    """Take it where it is missing, or wanted anew with ``LAZYAUTH_TEST_SCREENSHOTS=1``."""
    kept = IMAGES / f"{name}.png"
    wanted = not kept.exists() or os.environ.get("LAZYAUTH_TEST_SCREENSHOTS") == "1"
    file = kept if wanted else tmp_path / kept.name
    operator.page.mouse.move(0, 0)
    operator.page.screenshot(path=file, full_page=True, animations="disabled", caret="hide")
    assert kept.stat().st_size < MAX_BYTES


def test_the_list_and_a_client_look_as_in_the_docs(site: Site, clients, operator: Somebody, tmp_path: Path):
    operator.page.goto(f"{site.url}/admin/oauth2_provider/application/")
    listed = operator.page.locator("#result_list").inner_text()
    assert all(name in listed for name in CLIENTS)
    picture(operator, "admin-clients", tmp_path)
    operator.follow("Field Notes")
    metadata = operator.page.locator(".field-metadata pre").inner_text()
    assert "https://field-notes.example/privacy" in metadata
    picture(operator, "admin-client", tmp_path)


def test_the_overview_and_an_act_look_as_in_the_docs(site: Site, clients, operator: Somebody, tmp_path: Path):
    """Spec 10: the first link of the app, and what asks before it ends something."""
    operator.page.locator(".app-lazyauth th a").first.click()
    assert "Sign-ins of the last 24 hours" in operator.page.text_content("#content")
    picture(operator, "admin-overview", tmp_path)
    operator.page.goto(f"{site.url}/admin/oauth2_provider/application/")
    operator.follow("Field Notes")
    operator.follow("Disable: refuse them from now on")
    assert "refused at once" in operator.page.inner_text("#content")
    picture(operator, "admin-act", tmp_path)


def test_a_new_secret_is_shown_once(site: Site, clients, operator: Somebody, tmp_path: Path):
    operator.page.goto(f"{site.url}/admin/oauth2_provider/application/")
    operator.follow("Field Notes")
    operator.follow("New secret")
    operator.page.get_by_label("Why (kept in the history)").fill("it was in a log")
    operator.press("New secret")
    secret = operator.page.locator("#shown-once").inner_text()
    assert len(secret) == 43
    assert works(site, clients["Field Notes"], secret)
    operator.follow("I have copied it")
    assert secret not in operator.page.content()
    # No cache kept the page that showed it: going back would have to send the form again.
    with pytest.raises(Error, match="ERR_CACHE_MISS"):
        operator.page.go_back()


def works(site: Site, client_id: str, secret: str) -> bool:
    """Say whether the client can authenticate: an unknown token is described to it as inactive."""
    answer = httpx.post(
        f"{site.url}/introspect", data={"token": "unknown"}, auth=(client_id, secret), trust_env=False
    )
    return answer.status_code == 200 and answer.json() == {"active": False}
