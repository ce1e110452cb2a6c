"""The lists of calls in ``docs/architecture.md`` are what really runs, in that order.

``LAZYAUTH_SHOW_CALLS=1`` prints everything that runs on each path: what to choose from when a list is written anew.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from django_lazyauth.models import ProviderIdentity, SealedSuccessor, UpstreamGrant, UpstreamToken
from django_lazyauth.sign_in import identities
from django_lazyauth.upstream.fresh_token import fresh_token
from tests.device.conftest import television  # noqa: F401 - a fixture
from tests.docs.calls import PACKAGE, recorded
from tests.docs.test_docs import ROOT
from tests.support import devices
from tests.support.dpop import ProofKey
from tests.support.journey import consent, get, make_browser, post_form, query_of, redeem, start, submit
from tests.support.pushes import link, pushed

pytestmark = pytest.mark.django_db

PAGE = (ROOT / "docs/architecture.md").read_text()
CALL = re.compile(r"^\d+\. `([\w/]+\.py)`: `([\w.<>]+)`", re.MULTILINE)


def documented(path: str) -> list[str]:
    """Return the calls that the page lists under the heading *path*."""
    section = PAGE.split(f"\n### {path}\n")[1].split("\n### ")[0].split("\n## ")[0]
    calls = [f"{module}: {function}" for module, function in CALL.findall(section)]
    assert calls, path
    return calls


@contextmanager
def on_the_path(path: str):
    """Record what runs in the block, and compare it with the page."""
    with recorded() as calls:
        yield
    if os.environ.get("LAZYAUTH_SHOW_CALLS"):
        print(path, *calls, sep="\n    ")  # noqa: T201 - asked for
    listed = documented(path)
    assert [call for call in calls if call in listed] == listed


def go_upstream(upstream, browser, redirect):
    """Sign in at the upstream; return the path of the callback."""
    back = urlsplit(upstream.authorize(redirect.headers["Location"]))
    return f"{back.path}?{back.query}"


def signed_in(upstream, client):
    """Return a browser of somebody who signed in and the redirect to the consent page."""
    browser = make_browser()
    return browser, get(browser, go_upstream(upstream, browser, start(browser, client, provider="acme")))


def tokens_of(upstream, client):
    """Return the answer of the token endpoint after the whole way through the upstream."""
    browser, answer = signed_in(upstream, client)
    code = query_of(consent(browser, answer).headers["Location"])["code"]
    return redeem(client, code).json()


def test_the_path_of_a_code(upstream, client_):
    browser, answer = signed_in(upstream, client_)
    with on_the_path("A code"):
        code = query_of(consent(browser, answer).headers["Location"])["code"]
        assert redeem(client_, code).status_code == 200


def test_the_path_of_a_proof(upstream, client_, lazyauth):
    lazyauth(REGISTRATION="immediate")
    browser, answer = signed_in(upstream, client_)
    code = query_of(consent(browser, answer).headers["Location"])["code"]
    proof = {"dpop": ProofKey().proof("https://auth.example/token")}
    with on_the_path("A proof"):
        form = client_.token_form(code)
        assert post_form(make_browser(), "/token", form, headers=proof).status_code == 200


def test_the_path_of_a_pushed_request(client_):
    browser = make_browser()
    with on_the_path("A pushed request"):
        page = get(browser, link(client_.client_id, pushed(client_)))
        assert submit(browser, page, provider="demo").status_code == 303


def test_the_path_of_a_missing_refresh_token(upstream, client_, lazyauth, settings):
    config = upstream.config(offline="always")
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config}, REGISTRATION="immediate")
    tokens_of(upstream, client_)
    UpstreamGrant.objects.update(is_standing=False)
    upstream.control(omit_refresh_token=True)
    with on_the_path("No refresh token"):
        _, answer = signed_in(upstream, client_)
    assert answer.headers["Location"].startswith(upstream.issuer)


def test_the_path_of_a_state(upstream, client_):
    browser = make_browser()
    with on_the_path("A state"):
        callback = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
        assert get(browser, callback).status_code in (302, 303)


def test_the_path_of_an_id_token(upstream, client_):
    browser = make_browser()
    callback = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    with on_the_path("An ID token"):
        assert get(browser, callback).status_code in (302, 303)


def test_the_path_of_a_refresh(upstream, client_):
    token = tokens_of(upstream, client_)["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_.client_id}
    with on_the_path("A refresh of ours"):
        assert post_form(make_browser(), "/token", form).status_code == 200


def test_the_path_of_a_replay(upstream, client_):
    token = tokens_of(upstream, client_)["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_.client_id}
    assert post_form(make_browser(), "/token", form).status_code == 200
    # What the sweep does once the grace has ended.
    SealedSuccessor.objects.all().delete()
    with on_the_path("A replay"):
        assert post_form(make_browser(), "/token", form).json()["error"] == "invalid_grant"


def test_the_path_of_a_disconnected_account(upstream, client_):
    tokens_of(upstream, client_)
    identity = ProviderIdentity.objects.select_related("user").get()
    # Another way in, so that this one is not the last.
    ProviderIdentity.objects.create(user=identity.user, provider="acme", subject="person-2")
    with on_the_path("A disconnected account"):
        identities.unlink(identity.user, identity.pk)
    assert not UpstreamToken.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_path_of_an_upstream_refresh(upstream, client_):
    tokens_of(upstream, client_)
    UpstreamGrant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    row = UpstreamToken.objects.get()
    with on_the_path("An upstream refresh"):
        credential = fresh_token(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id)
    assert credential.version == 2


def test_the_path_of_a_registration():
    document = {"redirect_uris": ["https://client.example/cb"], "client_name": "A client"}
    with on_the_path("A registration"):
        answer = make_browser().post(
            "/register/", json.dumps(document), content_type="application/json", secure=True
        )
    assert answer.status_code == 201


@pytest.mark.parametrize("module", sorted(set(re.findall(r"`([\w/]+\.py)`: `", PAGE))))
def test_a_listed_module_exists(module):
    assert os.path.exists(PACKAGE + module)


def test_the_path_of_a_device(television):  # noqa: F811 - the value of the fixture
    """Spec 8.2."""
    browser = make_browser()
    with on_the_path("A device"):
        asked = devices.codes()
        devices.poll(asked)
        done = devices.answer(browser, asked)
        assert done.status_code == 303
        assert devices.poll(asked).status_code == 200
