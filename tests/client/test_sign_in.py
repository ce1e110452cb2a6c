"""Signing in from a program: which server, as which client, and whose answer (RFC 8252, 8414, 8628, 9207, 9728)."""

from __future__ import annotations

import base64
import hashlib
import json
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from django_lazyauth.client import (
    Bundle,
    ClientError,
    DiscoveryFailed,
    LoginFailed,
    Prompt,
    StoreUnavailable,
    login,
)
from django_lazyauth.client.sign_in.discovery import discover


def metadata(server, **members):
    return {
        "issuer": f"{server.url}/",
        **{
            f"{name}_endpoint": f"{server.url}/{name}"
            for name in ("token", "authorization", "registration", "device_authorization")
        },
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": ["offline_access", "openid", "admin"],
        **members,
    }


@pytest.fixture
def asked():
    """What was registered."""
    return []


@pytest.fixture
def guarded(server, asked):
    """A server, and a resource that it guards."""

    def register(document):
        asked.append(document)
        return 201, {"client_id": f"registered-{len(asked)}", "client_secret": "unasked"}

    server.documents["/.well-known/oauth-authorization-server"] = metadata(server)
    server.documents["/.well-known/oauth-protected-resource/mcp"] = {
        "resource": f"{server.url}/mcp",
        "authorization_servers": [f"{server.url}/"],
    }
    server.posts["/registration"] = register
    return server


class Browser:
    """Comes back at once from wherever it is sent, with what *answers* says. Other requests come before."""

    def __init__(self, server, **answers):
        self.server = server
        self.answers = {"code": "good", "iss": f"{server.url}/", **answers}
        self.query = {}
        self.statuses = []
        self.page = None

    def __call__(self, url):
        self.query = dict(parse_qsl(urlsplit(url).query))
        Thread(target=self._come_back).start()

    def _come_back(self):
        here = self.query["redirect_uri"]
        for wrong in ({"code": "evil", "state": "guessed"}, {"code": "evil"}):
            self.statuses.append(httpx.get(here, params=wrong).status_code)
        self.statuses.append(httpx.get(here.replace("callback", "favicon.ico")).status_code)
        answer = {name: value for name, value in self.answers.items() if value is not None}
        self.page = httpx.get(here, params={"state": self.query["state"], **answer})


def sign_in(guarded, store, browser=None, **arguments):
    opening = browser or Browser(guarded)
    url = arguments.pop("url", f"{guarded.url}/mcp")
    prompt = Prompt(open_browser=opening, tell=lambda _: None, seconds=5)
    name = login(url, store, prompt=prompt, **arguments)
    return name, opening


def test_by_browser_with_pkce_for_the_resource_as_a_client_that_registered_itself(guarded, store, asked):
    name, browser = sign_in(guarded, store)
    (form,) = guarded.forms
    assert (
        browser.query.items()
        >= {
            "client_id": "registered-1",
            "scope": "openid offline_access",
            "resource": f"{guarded.url}/mcp",
            "code_challenge_method": "S256",
        }.items()
    )
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert browser.query["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert (form["code"], form["resource"]) == ("good", f"{guarded.url}/mcp")
    assert form["redirect_uri"] == browser.query["redirect_uri"]
    assert asked[0]["token_endpoint_auth_method"] == "none"
    assert (name, store.current()) == ("127.0.0.1", "127.0.0.1")
    assert store.load(name).refresh_token == "refresh-1"


def test_the_scopes_that_a_resource_names_are_asked_for_unless_the_caller_says_others(guarded, store):
    """RFC 9728 §2: without them the resource would refuse the token."""
    document = guarded.documents["/.well-known/oauth-protected-resource/mcp"]
    document["scopes_supported"] = ["notes:read", "openid", 7]
    _, browser = sign_in(guarded, store)
    assert browser.query["scope"] == "openid offline_access notes:read"
    _, browser = sign_in(guarded, store, scope="openid")
    assert browser.query["scope"] == "openid"


def test_requests_with_another_state_neither_end_nor_win_the_sign_in(guarded, store):
    """RFC 6749 §10.12."""
    _, browser = sign_in(guarded, store)
    assert browser.statuses == [404, 404, 404]
    assert browser.page.headers["Cache-Control"] == "no-store"
    assert guarded.forms[0]["code"] == "good"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"iss": "https://evil.example/"}, "iss"),
        ({"iss": None}, "iss"),
        ({"code": None, "error": "access_denied"}, "access_denied"),
        ({"code": None}, "no_code"),
    ],
)
def test_an_answer_of_another_server_or_without_code_stores_nothing(guarded, store, answers, reason):
    """RFC 9207 §2.4."""
    with pytest.raises(LoginFailed) as raised:
        sign_in(guarded, store, Browser(guarded, **answers))
    assert raised.value.reason == reason
    assert (guarded.forms, store.accounts()) == ([], [])


def test_an_id_is_kept_for_each_issuer_until_the_server_forgot_it(guarded, store, asked):
    for _ in range(2):
        sign_in(guarded, store)
    assert len(asked) == 1
    guarded.answer = lambda _: (401, {"error": "invalid_client"})
    with pytest.raises(LoginFailed):
        sign_in(guarded, store)
    guarded.answer = lambda _: (200, {"access_token": "a"})
    sign_in(guarded, store)
    assert len(asked) == 2


def test_people_are_named_as_the_server_says_and_never_take_anothers_place(guarded, store, account):
    claims = base64.urlsafe_b64encode(json.dumps({"email": "ada@example.org"}).encode()).decode().rstrip("=")
    guarded.answer = lambda _: (200, {"access_token": "a", "id_token": f"x.{claims}.x"})
    store.save("ada@example.org", account, Bundle("elsewhere"))
    assert sign_in(guarded, store)[0] == "ada@example.org (127.0.0.1)"
    assert store.load("ada@example.org") == Bundle("elsewhere")


def test_the_same_person_at_another_resource_is_another_account(guarded, store):
    assert sign_in(guarded, store, account="ada")[0] == "ada"
    assert sign_in(guarded, store)[0] == "127.0.0.1"
    assert sign_in(guarded, store)[0] == "127.0.0.1"
    assert sign_in(guarded, store, url=guarded.url)[0].startswith("127.0.0.1 ")


def test_tokens_that_cannot_be_kept_are_revoked(guarded, store, keyring):
    revoked = []
    guarded.documents["/.well-known/oauth-authorization-server"]["revocation_endpoint"] = (
        f"{guarded.url}/revoke"
    )
    guarded.posts["/revoke"] = lambda form: (200, "") if not revoked.append(form["token"]) else None
    keyring.is_away = True
    with pytest.raises(StoreUnavailable):
        sign_in(guarded, store)
    assert revoked == ["refresh-1"]


def test_by_device_code_as_often_as_the_server_wants_to_be_asked(guarded, store, asked):
    guarded.posts["/device_authorization"] = lambda _: (
        200,
        {
            "device_code": "device",
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{guarded.url}/device",
            "expires_in": 60,
            "interval": 0.01,
        },
    )
    pending = {1: (400, {"error": "authorization_pending"}), 2: (503, {})}
    guarded.answer = lambda number: pending.get(number, (200, {"access_token": "a", "expires_in": 10}))
    told = []
    name = login(f"{guarded.url}/mcp", store, device=True, prompt=Prompt(tell=told.append))
    assert told == [f"Open {guarded.url}/device and type the code WDJB-MJHT"]
    assert len(guarded.forms) == 3
    assert guarded.forms[0]["device_code"] == "device"
    assert "urn:ietf:params:oauth:grant-type:device_code" in asked[0]["grant_types"]
    assert store.load(name).access_token == "a"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"verification_uri": "javascript:alert(1)"}, "bad_answer"),
        ({"user_code": "\x1b]0;evil\x07"}, "bad_answer"),
        ({"interval": 100, "expires_in": 1}, "timeout"),
    ],
)
def test_a_code_that_must_not_be_shown_or_has_ended_is_an_error(guarded, store, members, reason):
    answer = {"device_code": "d", "user_code": "u", "verification_uri": "https://x.example", **members}
    guarded.posts["/device_authorization"] = lambda _: (200, answer)
    with pytest.raises(LoginFailed) as raised:
        login(f"{guarded.url}/mcp", store, device=True, prompt=Prompt(tell=lambda _: None))
    assert raised.value.reason == reason
    assert guarded.forms == []


def test_a_resource_is_found_by_its_challenge_and_an_issuer_without_its_slash(guarded):
    """RFC 9728 §5.1; RFC 8414 §3."""
    described = guarded.documents.pop("/.well-known/oauth-protected-resource/mcp")
    assert discover(guarded.url).issuer == f"{guarded.url}/"
    guarded.documents["/elsewhere"] = described
    guarded.statuses["/mcp"] = 401
    guarded.documents["/mcp"] = {}
    guarded.more_headers["WWW-Authenticate"] = f'Bearer resource_metadata="{guarded.url}/elsewhere"'
    assert discover(f"{guarded.url}/mcp").resource == f"{guarded.url}/mcp"


@pytest.mark.parametrize(
    ("resource", "issuer", "reason"),
    [
        ({"resource": "https://other.example"}, {}, "other_resource"),
        ({"authorization_servers": []}, {}, "no_server"),
        ({"authorization_servers": ["http://auth.example"]}, {}, "no_server"),
        ({}, {"issuer": "https://other.example"}, "other_issuer"),
        ({}, {"token_endpoint": "http://auth.example/token"}, "bad_endpoint"),
        ({}, {"code_challenge_methods_supported": ["plain"]}, "no_pkce"),
    ],
)
def test_metadata_that_cannot_be_trusted_are_refused(guarded, resource, issuer, reason):
    guarded.documents["/.well-known/oauth-protected-resource/mcp"].update(resource)
    guarded.documents["/.well-known/oauth-authorization-server"].update(issuer)
    with pytest.raises(DiscoveryFailed) as raised:
        discover(f"{guarded.url}/mcp")
    assert raised.value.reason == reason


def test_an_address_over_http_elsewhere_is_not_even_asked():
    with pytest.raises(ClientError) as raised:
        discover("http://auth.example")
    assert raised.value.reason == "insecure_url"
