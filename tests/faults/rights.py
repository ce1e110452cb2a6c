"""Flows step by step: where each stands, and all that whoever holds what it gave can try then."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from oauth2_provider.models import get_application_model

from tests.clients.conftest import PUBLIC, Registrar
from tests.conftest import CONFIDENTIAL_SECRET
from tests.support import devices, id_jags
from tests.support.delegation import API, TOOL, exchange
from tests.support.journey import (
    ISSUER,
    OAuthClient,
    come_back,
    form_of,
    get,
    make_browser,
    post,
    post_form,
    query_of,
    start,
)
from tests.support.pushes import link, pushed
from tests.web.site import ask, signed_in

CLIENT, PERSON, THERE = "the-client", "ada", "https://there.example"
TYPE = "urn:ietf:params:oauth:token-type:"
SCOPE = "openid profile email offline_access upstream:demo"

#: Name of what can be tried → what tries it.
Attempts = Mapping[str, Callable[[], Any]]
#: A point between two steps: its name, the client whose flow it is, and what can be tried there.
Stage = tuple[str, str, Attempts]


def owner() -> Any:
    return get_user_model().objects.get(email=f"{PERSON}@people.example")


def row(client_id: str) -> Any:
    return get_application_model().objects.get(client_id=client_id)


def credentials(client_id: str = CLIENT) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": CONFIDENTIAL_SECRET}


def press(browser: Any, page: Any, **values: str) -> Callable[[], Any]:
    """Return what presses a button of *page*, as often as it is called, in the browser as it is now."""
    action, fields = form_of(page)
    kept = copy.deepcopy(browser)
    return lambda: post(copy.deepcopy(kept), action, fields | values)


def send(path: str, **form: str) -> Callable[[], Any]:
    return lambda: post_form(make_browser(), path, form)


def opened(browser: Any, path: str) -> Callable[[], Any]:
    kept = copy.deepcopy(browser)
    return lambda: get(copy.deepcopy(kept), path)


def code_flow() -> Iterator[Stage]:
    """A person, a confidential client, and a tool server that acts for the person."""
    client = OAuthClient(CLIENT, CONFIDENTIAL_SECRET, scope=SCOPE)
    resources = [TOOL, ISSUER]
    browser = make_browser()
    page = ask(browser, client, resource=resources)
    yield "asked", CLIENT, {"choose": press(browser, page, provider="demo")}
    known = signed_in(owner())
    page = ask(known, client, prompt="consent")
    yield "asked who is signed in", CLIENT, {"consent": press(known, page, decision="allow")}
    yield "pushed", CLIENT, {"follow": opened(make_browser(), link(CLIENT, pushed(client)))}
    upstream = start(browser, client, resource=resources)
    back = {"state": query_of(upstream.headers["Location"])["state"], "code": PERSON}
    yield "sent upstream", CLIENT, {"callback": opened(browser, f"/callback/demo?{urlencode(back)}")}
    page = get(browser, come_back(browser, upstream, subject=PERSON).headers["Location"])
    allow = press(browser, page, decision="allow")
    yield "authenticated", CLIENT, {"allow": allow}
    redeem = send("/token", **client.token_form(query_of(allow().headers["Location"])["code"]))
    yield "code", CLIENT, {"redeem": redeem}
    tokens = redeem().json()
    yield "tokens", CLIENT, _with_tokens(tokens)
    spent = _refresh(tokens["refresh_token"])
    tokens = spent().json()
    yield "refreshed", CLIENT, {"retry": spent, **_with_tokens(tokens)}
    given = exchange(tokens["access_token"], audience=API).json()["access_token"]
    handed_on = {"introspect": send("/introspect", token=given, **credentials("tool"))}
    yield "handed on", CLIENT, handed_on
    # The same token, by what happens to the one that holds it.
    yield "handed on", "tool", {"introspect": send("/introspect", token=given, **credentials())}


def _refresh(token: str) -> Callable[[], Any]:
    return send("/token", grant_type="refresh_token", refresh_token=token, **credentials())


def _with_tokens(tokens: Mapping[str, str]) -> Attempts:
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    id_jag = partial(exchange, client_id=CLIENT, requested_token_type=f"{TYPE}id-jag", audience=THERE)
    return {
        "introspect": send("/introspect", token=tokens["access_token"], **credentials("tool")),
        "userinfo": lambda: get(make_browser(), "/userinfo", headers=bearer),
        "upstream": lambda: get(make_browser(), "/upstream-tokens/demo", headers=bearer),
        "exchange": lambda: exchange(tokens["access_token"], audience=API),
        "id_jag": lambda: id_jag(tokens["id_token"], subject_token_type=f"{TYPE}id_token"),
        "id_jag of refresh": lambda: id_jag(
            tokens["refresh_token"], subject_token_type=f"{TYPE}refresh_token"
        ),
        "refresh": _refresh(tokens["refresh_token"]),
    }


def device_flow() -> Iterator[Stage]:
    """A device without a browser, and a person with one."""
    client_id, browser = "television", make_browser()
    asked = devices.codes()

    def poll() -> Any:
        devices.wait_for_poll()
        return devices.poll(asked)

    page = get(browser, "/device")
    enter = press(browser, page, user_code=asked["user_code"])
    yield "asked", client_id, {"poll while waiting": poll, "enter": enter}
    page = devices.claim(browser, asked)
    yield "claimed", client_id, {"poll while waiting": poll}
    page = devices.sign_in(browser, page, subject=PERSON)
    allow = press(browser, page, decision="allow")
    yield "authenticated", client_id, {"allow device": allow}
    allow()
    yield "allowed", client_id, {"poll": poll}
    tokens = poll().json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client_id}
    yield (
        "tokens",
        client_id,
        {
            "poll again": poll,
            "userinfo": lambda: get(make_browser(), "/userinfo", headers=bearer),
            "public refresh": send("/token", **form),
        },
    )


def registered_flow() -> Iterator[Stage]:
    """A client that registered itself."""
    registrar = Registrar()
    made = registrar.registered(PUBLIC)
    client_id = made["client_id"]
    changed = PUBLIC | {"client_id": client_id, "client_name": "Another"}
    yield (
        "registered",
        client_id,
        {
            "read": lambda: registrar.manage("GET", made),
            "replace": lambda: registrar.manage("PUT", made, changed),
        },
    )
    yield "registered", client_id, {"delete": lambda: registrar.manage("DELETE", made)}
    client, browser = OAuthClient(client_id), make_browser()
    page = get(browser, come_back(browser, start(browser, client), subject=PERSON).headers["Location"])
    allow = press(browser, page, decision="allow")
    yield "authenticated", client_id, {"allow": allow}
    redeem = send("/token", **client.token_form(query_of(allow().headers["Location"])["code"]))
    yield "code", client_id, {"public redeem": redeem}


def id_jag_flow(upstream: Any) -> Iterator[Stage]:
    """A client that brings the word of a person's organisation."""
    text = id_jags.assertion(upstream, sub=PERSON)
    yield "asserted", "agent", {"bring": lambda: id_jags.bring(text)}
    token = id_jags.brought(text)["access_token"]
    read = send("/introspect", token=token, **credentials(CLIENT))
    yield "brought", "agent", {"introspect": read}


def outcome_of(answer: Any) -> str:
    """Return in one word what somebody got: what was issued, an error code, or where they are."""
    location = answer.headers.get("Location", "")
    if location:
        told = query_of(location)
        return "code" if "code" in told else told.get("error", "on")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        return "refused" if answer.status_code >= 400 else "on"
    told = answer.json() if answer.content else {}
    if "access_token" in told:
        return "token"
    if answer.status_code < 400:
        return "inactive" if told.get("active") is False else "on"
    return str(told.get("error", answer.status_code))
