"""Clients of other projects on a device without a browser (RFC 8628)."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from bs4 import BeautifulSoup
from django.contrib.auth import get_user_model
from requests_oauth2client import DeviceAuthorizationPollingJob, DPoPToken, OAuth2Client

from tests.conftest import register
from tests.support.devices import DEVICE_CODE
from tests.support.journey import query_of
from tests.support.processes import PATIENCE

from .conftest import DOCUMENTED

pytestmark = [pytest.mark.django_db(transaction=True)]

User = get_user_model()


@pytest.fixture
def entered(issuer, lazyauth):
    """A public client of devices as an operator enters it. Its devices poll each second, so that nobody waits."""
    lazyauth(DEVICE_FLOW={"interval": 1})
    register(client_id="television", authorization_grant_type=DEVICE_CODE, redirect_uris="")
    return "television"


DOMAIN = "acme.example"
#: Set-up, when a proof needs a nonce (empty: there is none), and the domain that the person types. Nobody asked for it
#: before.
WAYS = pytest.mark.parametrize(
    ("issuer", "nonce", "domain"),
    [
        (DOCUMENTED[0], "", ""),
        (DOCUMENTED[1], "", ""),
        (DOCUMENTED[0], "stale", ""),
        (DOCUMENTED[1], "always", ""),
        (DOCUMENTED[0], "", DOMAIN),
    ],
    indirect=["issuer"],
)


def answer_device(asked: dict[str, str], upstream: Any = None, *, subject: str = "ada") -> str:
    """Type the code as a person does, sign in and decide; return where that ends.

    Args:
        upstream: The provider of the domain that the person types; ``None``: they sign in with ``demo``.
    """
    with httpx.Client(trust_env=False) as browser:
        page, give_up = browser.get(asked["page"]), time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            if page.is_redirect:
                target = urljoin(str(page.url), page.headers["location"])
                if urlsplit(target).hostname == "upstream.example":
                    came = query_of(target)
                    target = f"{came['redirect_uri']}?state={came['state']}&code={subject}"
                elif upstream is not None and target.startswith(upstream.issuer):
                    target = upstream.authorize(target, sub=subject)
                page = browser.get(target)
                continue
            if page.status_code == 202:
                # It waits until the domain was looked up.
                page = browser.get(str(page.url))
                continue
            assert page.status_code == 200, page.text
            if urlsplit(str(page.url)).path.endswith("/device/done"):
                return str(page.url)
            soup = BeautifulSoup(page.text, "html.parser")
            form = soup.find("form")
            fields = {i["name"]: i.get("value", "") for i in form.find_all("input") if i.get("name")}
            if "user_code" in fields:
                fields["user_code"] = asked["code"]
            elif soup.find("button", {"name": "decision"}):
                assert asked["code"] in page.text
                fields["decision"] = asked.get("decision", "allow")
            elif upstream is not None:
                form = soup.find("input", {"name": "domain"}).find_parent("form")
                hidden = {i["name"]: i.get("value", "") for i in form.find_all("input") if i.get("name")}
                button = form.find("button")
                fields = hidden | {"domain": f"{subject}@{DOMAIN}", button["name"]: button["value"]}
            else:
                assert asked["code"] in page.text
                fields["provider"] = "demo"
            page = browser.post(urljoin(str(page.url), form["action"]), data=fields)
    raise AssertionError("the pages lead nowhere")


@pytest.fixture
def upstream_of(request):
    """Return the provider of a domain; ``None`` without one."""
    return lambda domain: request.getfixturevalue("sso") if domain else None


@pytest.mark.services
@WAYS
def test_openid_client(node, issuer, entered, lazyauth, upstream_of, nonce, domain):
    """A lazy new person, with bearer tokens and with a key, and one of a domain that nobody asked for before."""
    lazyauth(DPOP={"nonce": nonce or "stale"})
    upstream = upstream_of(domain)

    def answer(message):
        assert not User.objects.exists(), "nobody is written before the device redeems its code"
        return answer_device(message["ask"], upstream)

    said = node.run(
        "openid_client_device.mjs", issuer.url, entered, "yes" if nonce else "no", "allow", answer=answer
    )
    assert said == {
        "type": "dpop" if nonce else "bearer",
        "renewed": True,
        "email": f"ada@{domain or 'people.example'}",
    }
    assert User.objects.count() == 1


@pytest.mark.services
def test_openid_client_hears_that_it_was_denied(node, issuer, entered):
    said = node.run(
        "openid_client_device.mjs",
        issuer.url,
        entered,
        "no",
        "deny",
        answer=lambda message: answer_device(message["ask"]),
    )
    assert said == {"error": "access_denied"}


@pytest.mark.slow
@WAYS
def test_requests_oauth2client(issuer, entered, lazyauth, upstream_of, nonce, domain):
    """``DeviceAuthorizationPollingJob``, which is slowed down where it comes too soon."""
    lazyauth(DPOP={"nonce": nonce or "stale"})
    document = httpx.get(f"{issuer.base}/.well-known/openid-configuration", trust_env=False).json()
    client = OAuth2Client.from_discovery_document(
        document,
        issuer=issuer.url,
        client_id=entered,
        dpop_bound_access_tokens=bool(nonce),
        testing=True,
        # It reads the other endpoints of the document only.
        device_authorization_endpoint=document["device_authorization_endpoint"],
    )
    asked = client.authorize_device(scope="openid email")
    job = DeviceAuthorizationPollingJob(client, asked, interval=1, dpop=bool(nonce))
    assert job() is None
    person = threading.Thread(
        target=answer_device,
        args=({"page": asked.verification_uri, "code": asked.user_code}, upstream_of(domain)),
    )
    person.start()
    token, deadline = None, time.monotonic() + 60
    while token is None and time.monotonic() < deadline:
        token = job()
    person.join()
    assert token is not None
    assert isinstance(token, DPoPToken) is bool(nonce)
    assert User.objects.count() == 1
    assert client.refresh_token(token).access_token != token.access_token


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    ("issuer", "domain"), [*((name, "") for name in DOCUMENTED), (DOCUMENTED[0], DOMAIN)], indirect=["issuer"]
)
def test_curl(issuer, entered, upstream_of, domain):
    """As in ``docs/concepts/devices.md``."""
    upstream = upstream_of(domain)

    def curl(path, **form):
        fields = [part for name, value in form.items() for part in ("-d", f"{name}={value}")]
        done = subprocess.run(
            ["curl", "-s", f"{issuer.base}{path}", *fields], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    asked = curl("/device_authorization", client_id=entered, scope="openid email")
    form = {"client_id": entered, "device_code": asked["device_code"], "grant_type": DEVICE_CODE}
    assert curl("/token", **form) == {"error": "authorization_pending"}
    answer_device({"page": asked["verification_uri_complete"], "code": asked["user_code"]}, upstream)
    assert {"access_token", "id_token", "refresh_token"} <= set(curl("/token", **form))
