"""A store of one application, a keyring that obeys, and a token endpoint. None of it needs a database."""

from __future__ import annotations

import time

import pytest

from django_lazyauth.client import Account, Bundle, Provider, Store
from tests.client.keyrings import MemoryKeyring
from tests.client.token_server import TokenServer


@pytest.fixture
def keyring():
    return MemoryKeyring()


@pytest.fixture
def warnings_told():
    return []


@pytest.fixture
def store(tmp_path, keyring, warnings_told):
    return Store(tmp_path / "lazyauth", backend=keyring, plaintext=False, warn=warnings_told.append)


@pytest.fixture
def server():
    with TokenServer() as running:
        yield running


@pytest.fixture
def provider(server):
    return Provider.at(f"{server.url}/token", issuer=server.url, client_id="tool")


@pytest.fixture
def account(provider):
    return provider.account


@pytest.fixture
def signed_in(store, account):
    """Ada, with an access token that ended a second ago."""
    store.save("ada", account, tokens(expires_at=time.time() - 1))
    store.use("ada")
    return store


#: For tests that ask no server.
ACCOUNT = Account("https://auth.example", "tool", "https://auth.example/token")


def tokens(name: str = "0", **fields) -> Bundle:
    return Bundle(**{"access_token": f"access-{name}", "refresh_token": f"refresh-{name}", **fields})
