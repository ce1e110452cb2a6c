"""A device without a browser, and a person with one: the whole way over HTTP (RFC 8628)."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.utils import timezone

from django_lazyauth.models import DeviceAuthorization
from tests.support.journey import come_back, get, make_browser, post_form, query_of, submit

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
CLIENT_ID = "television"
#: What a device is told while nobody has answered.
WAITING = ("authorization_pending", "slow_down")


def ask(client_id=CLIENT_ID, *, browser=None, address="203.0.113.7", **form):
    """Ask for codes, as a device in the network of *address*."""
    form = {"client_id": client_id, "scope": "openid profile email", **form}
    form = {name: value for name, value in form.items() if value is not None}
    return post_form(browser or make_browser(), "/device_authorization", form, REMOTE_ADDR=address)


def codes(client_id=CLIENT_ID, **form) -> dict:
    answer = ask(client_id, **form)
    assert answer.status_code == 200, answer.content
    return answer.json()


def poll(asked, client_id=CLIENT_ID, *, headers=None, **form):
    """Ask whether the person has answered; *asked* is what the device got, or its code."""
    code = asked if isinstance(asked, str) else asked["device_code"]
    form = {"grant_type": DEVICE_CODE, "device_code": code, "client_id": client_id, **form}
    return post_form(make_browser(), "/token", form, headers=headers)


def wait_for_poll(asked=None) -> None:
    """Let the time pass that the device waits between two polls."""
    DeviceAuthorization.objects.update(next_poll_at=timezone.now())


def enter(browser, user_code: str, **kwargs):
    """Type a code; return the answer to the form."""
    return submit(browser, get(browser, "/device", **kwargs), user_code=user_code)


def claim(browser, asked):
    """Type the code of a device; return the page that follows."""
    answer = enter(browser, asked["user_code"])
    assert answer.status_code == 303, answer.content.decode()
    return get(browser, answer.headers["Location"])


def sign_in(browser, page, *, subject="ada", provider="demo"):
    """Sign in at *provider* from the page of a claimed code; return the consent page."""
    answer = come_back(browser, submit(browser, page, provider=provider), subject=subject, provider=provider)
    assert answer.status_code == 303, answer.content.decode()
    return get(browser, answer.headers["Location"])


def answer(browser, asked, *, decision="allow", subject="ada"):
    """Do all that a person does for their device; return where they end."""
    page = sign_in(browser, claim(browser, asked), subject=subject)
    return submit(browser, page, decision=decision)


def connect(client_id=CLIENT_ID, *, browser=None, subject="ada", **form) -> dict:
    """Return the tokens of a device that somebody allowed."""
    asked = codes(client_id, **form)
    done = answer(browser or make_browser(), asked, subject=subject)
    assert urlsplit(done.headers["Location"]).path == "/device/done"
    assert "error" not in query_of(done.headers["Location"])
    tokens = poll(asked, client_id)
    assert tokens.status_code == 200, tokens.content
    return tokens.json()
