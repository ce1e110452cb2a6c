"""Clients that want to hear of logouts, people who are signed in at them."""

from __future__ import annotations

from dataclasses import dataclass

import jwt
import pytest
from django.test import Client as Browser
from django.utils import timezone

from django_lazyauth.models import ClientRegistration, ClientSource
from tests.support import recorded
from tests.support.journey import (
    OAuthClient,
    consent,
    get,
    make_browser,
    post_form,
    query_of,
    redeem,
    sign_in,
    submit,
)
from tests.web.site import register_client

__all__ = ["consent"]

AFTER = "https://client.example/signed-out"


@dataclass
class SignedIn:
    """A person's browser, and what one client got of it."""

    browser: Browser
    client: OAuthClient
    tokens: dict

    @property
    def id_token(self) -> str:
        return self.tokens["id_token"]

    @property
    def sid(self) -> str:
        return jwt.decode(self.id_token, options={"verify_signature": False})["sid"]

    def refresh(self):
        answer = post_form(
            make_browser(),
            "/token",
            {
                "grant_type": "refresh_token",
                "refresh_token": self.tokens["refresh_token"],
                "client_id": self.client.client_id,
            },
        )
        if answer.status_code == 200:
            self.tokens = {**self.tokens, **answer.json()}
        return answer

    def userinfo(self):
        headers = {"authorization": f"Bearer {self.tokens['access_token']}"}
        return get(make_browser(), "/userinfo", headers=headers)

    def is_alive(self) -> bool:
        alive = self.userinfo().status_code == 200
        assert (self.refresh().status_code == 200) == alive
        return alive


def signed_in_at(client: OAuthClient, *, subject: str = "ada", browser: Browser | None = None) -> SignedIn:
    """Sign *subject* in at *client*; the browser is signed in on the site afterwards, as on its next visit."""
    if browser is None:
        browser = make_browser()
        code = recorded.code_for(client, subject=subject, browser=browser)
    else:
        code = query_of(_sign_in_again(client, subject, browser))["code"]
    answer = redeem(client, code)
    assert answer.status_code == 200, answer.content
    return SignedIn(browser, client, answer.json())


def _sign_in_again(client: OAuthClient, subject: str, browser: Browser) -> str:
    """Go over the pages in a browser that may be signed in; return the URL that the client gets."""
    if "_auth_user_id" not in browser.session:
        return sign_in(browser, client, subject=subject)
    answer = get(browser, f"/authorize?{client.authorize_query()}")
    if answer.status_code == 200:
        answer = submit(browser, answer, decision="allow")
    return answer.headers["Location"]


@pytest.fixture
def trail(db) -> OAuthClient:
    return register_client(
        "trail", post_logout_redirect_uris=f"{AFTER} myapp.example:/out", name="Trail Journal"
    )


@pytest.fixture
def maps(db) -> OAuthClient:
    return register_client("maps", post_logout_redirect_uris="https://maps.example/out", name="Maps")


@pytest.fixture
def ada(trail) -> SignedIn:
    return signed_in_at(trail)


def wants_to_hear(client: OAuthClient, uri: str) -> None:
    """Let *client* have registered a back-channel logout URI, as an operator enters it."""
    from oauth2_provider.models import get_application_model

    row = get_application_model().objects.get(client_id=client.client_id)
    ClientRegistration.objects.update_or_create(
        client=row,
        defaults={"metadata": {"backchannel_logout_uri": uri}},
        create_defaults={
            "source": ClientSource.ELSEWHERE,
            "metadata": {"backchannel_logout_uri": uri},
            "last_used_at": timezone.now(),
        },
    )
