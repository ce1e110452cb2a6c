"""The client side against the example site, over HTTP: by browser, with tokens that are bound to a key (RFC 9449)."""

from __future__ import annotations

from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from django_lazyauth.client import LazyAuth, Prompt, Provider, RefreshExpired, login, refresh_access_token
from example_project.demo_client import Browser
from example_project.servers import Stage
from example_project.upstream.people import PEOPLE


def person_with_browser(url: str) -> None:
    """Sign in as Ada from *url*, allow it, and go where the site sends her."""
    here = dict(parse_qsl(urlsplit(url).query))["redirect_uri"]
    with Browser(stop_at=here) as browser:
        upstream = browser.press(browser.open(url), "Demo Upstream")
        answer = browser.press(browser.press(upstream, PEOPLE[0].name), "Allow")
        browser.http.get(answer, timeout=10)


@pytest.mark.slow
def test_a_program_signs_in_calls_an_api_refreshes_and_signs_out(tmp_path, store, monkeypatch):
    """The server and the API check each proof, and nobody else can use the token."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Stage(tmp_path) as stage:
        opening = Prompt(
            open_browser=lambda url: Thread(target=person_with_browser, args=[url]).start(),
            tell=lambda _: None,
        )
        name = login(stage.site_url, store, bound=True, prompt=opening)
        assert name == PEOPLE[0].email
        whoami = f"{stage.site_url}/api/whoami"
        with httpx.Client(auth=LazyAuth(store)) as client:
            assert client.get(whoami).json()["name"] == PEOPLE[0].name
            first = store.load(name)
            assert first.token_type == "DPoP"
            assert (
                httpx.get(whoami, headers={"Authorization": f"Bearer {first.access_token}"}).status_code
                == 401
            )
            renewed = refresh_access_token(store, force=True)
            assert renewed.refresh_token != first.refresh_token
            assert client.get(whoami).status_code == 200
            assert Provider(store.record(name).account).revoke(renewed)
            with pytest.raises(RefreshExpired):
                client.get(whoami)
