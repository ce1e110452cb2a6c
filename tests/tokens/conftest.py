"""Signing keys of each kind, and what a client holds after a sign-in."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from django_lazyauth.kit.crypto.new_keys import GENERATORS
from django_lazyauth.tokens.keys import generate_signing_key
from tests.conftest import register
from tests.support.journey import OAuthClient, make_browser, post_form, redeem
from tests.support.recorded import code_for

SECRET = "m" * 43


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, unchecked."""
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def sign_in(client: OAuthClient, *, resources: tuple[str, ...] = (), **changes) -> dict[str, Any]:
    """Return the answer of the token endpoint."""
    resource = {"resource": list(resources)} if resources else {}
    answer = redeem(client, code_for(client, **resource, **changes))
    assert answer.status_code == 200, answer.content
    return answer.json()


def refresh(client: OAuthClient, refresh_token: str, **form) -> dict[str, Any]:
    answer = post_form(
        make_browser(),
        "/token",
        {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": client.client_id,
            **form,
        },
    )
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.fixture(scope="session")
def pems() -> dict[str, str]:
    """A private key for each algorithm."""
    return {algorithm: generate_signing_key(algorithm)[0] for algorithm in GENERATORS}


@pytest.fixture
def machine(db) -> OAuthClient:
    """A client that acts for itself."""
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=SECRET,
        hash_client_secret=True,
    )
    return OAuthClient("machine", SECRET)


def machine_token(client: OAuthClient, **form):
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "scope": "openid",
        **form,
    }
    return post_form(make_browser(), "/token", form)
