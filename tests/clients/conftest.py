"""A machine that registers clients over HTTP, as any of them does."""

from __future__ import annotations

import json

import pytest

from tests.support.clients_elsewhere import forget_all
from tests.support.journey import REDIRECT_URI, make_browser

PUBLIC = {"redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none", "client_name": "A client"}
CONFIDENTIAL = {"redirect_uris": [REDIRECT_URI], "client_name": "A server"}
STORES = {
    "model": "django_lazyauth.clients.store.ModelRegistrationStore",
    "files": "tests.support.clients_elsewhere.FileStore",
}


class Registrar:
    """Sends what it is told, and keeps nothing."""

    def __init__(self) -> None:
        self.browser = make_browser()
        self.browser.raise_request_exception = False

    def send(self, method, path, document=None, *, token=None, body=None, address="192.0.2.7", **headers):
        if body is None:
            body = b"" if document is None else json.dumps(document).encode()
        extra = {"authorization": f"Bearer {token}"} if token is not None else {}
        return self.browser.generic(
            method,
            path,
            body,
            content_type=headers.pop("content_type", "application/json"),
            secure=headers.pop("secure", True),
            headers=extra | headers,
            REMOTE_ADDR=address,
        )

    def register(self, document, **kwargs):
        return self.send("POST", "/register/", document, **kwargs)

    def registered(self, document, **kwargs):
        answer = self.register(document, **kwargs)
        assert answer.status_code == 201, (answer.status_code, answer.content)
        return answer.json()

    def manage(self, method, client, document=None, **kwargs):
        kwargs.setdefault("token", client["registration_access_token"])
        return self.send(method, f"/register/{client['client_id']}/", document, **kwargs)


@pytest.fixture
def registrar(db):
    return Registrar()


@pytest.fixture(params=STORES)
def any_store(request, lazyauth):
    """The tests that ask for it run on the default store, and on one that keeps clients elsewhere."""
    lazyauth(REGISTRATION_STORE=STORES[request.param])
    yield request.param
    forget_all()
