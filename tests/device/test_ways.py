"""Spec 8.2: behind the claim everything is as in spec 1: SSO, chains, step-up, confidential clients."""

from __future__ import annotations

from datetime import timedelta

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.utils import timezone

from django_lazyauth.models import (
    ClientRegistration,
    DeviceAuthorization,
    PendingAuthorization,
    ProviderIdentity,
)
from tests.clients.test_documents import documents  # noqa: F401 - a fixture
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.sign_in.test_sso_pages import back, consent_of, type_domain
from tests.support.devices import CLIENT_ID, DEVICE_CODE, answer, ask, claim, codes, connect, poll
from tests.support.journey import come_back, get, make_browser, post_form, submit
from tests.support.waiting import follow_waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("television")]

User = get_user_model()


def test_a_person_of_a_cold_domain_allows_their_device(sso):
    """Spec 2: a domain that nobody asked for before, and a lazy new person."""
    asked, browser = codes(), make_browser()
    left = follow_waiting(browser, type_domain(browser, claim(browser, asked), "ada@acme.example"))
    returned = follow_waiting(browser, back(browser, sso, left, sub="ada"), seconds=3)
    assert not User.objects.exists()
    assert "/device/done" in consent_of(browser, returned).headers["Location"]
    tokens = poll(asked)
    assert tokens.status_code == 200, tokens.content
    identity = ProviderIdentity.objects.get()
    assert (identity.provider, identity.subject) == ("sso:acme.example", "ada")


def test_a_chain_is_gone_through_after_the_page_that_shows_the_device(lazyauth):
    """Nobody is sent on before they saw for which device."""
    browser = make_browser()
    connect(browser=browser)
    lazyauth(CHAINS=[{"client": CLIENT_ID, "providers": ["demo", "other"]}])
    asked = codes()
    page = claim(browser, asked)
    assert asked["user_code"] in page.content.decode()
    gone = submit(browser, page, account="current")
    assert gone.status_code == 303
    assert PendingAuthorization.objects.latest("created_at").status == "sent_upstream"


def test_a_sign_in_that_is_too_old_is_not_offered():
    """OpenID Connect Core §3.1.2.1, max_age."""
    browser = make_browser()
    connect(browser=browser)
    assert "Continue as" in claim(browser, codes(max_age="600")).content.decode()
    page = claim(browser, codes(max_age="0"))
    assert "Continue as" not in page.content.decode()
    # Nor is it taken where somebody posts it all the same.
    again = submit(browser, page, account="current")
    assert again.status_code == 200
    assert PendingAuthorization.objects.latest("created_at").status == "requested"


def test_a_sign_in_that_is_too_weak_is_not_offered(lazyauth):
    """RFC 9470 §4."""
    lazyauth(ACR_VALUES=["urn:example:mfa"])
    browser = make_browser()
    connect(browser=browser)
    page = claim(browser, codes(acr_values="urn:example:mfa"))
    assert "Continue as" not in page.content.decode()
    assert PendingAuthorization.objects.latest("created_at").acr_values == "urn:example:mfa"


@pytest.fixture
def box(television):
    """A confidential client of devices."""
    register(
        client_id="box",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
        authorization_grant_type=DEVICE_CODE,
        redirect_uris="",
    )


def test_a_confidential_client_proves_itself_at_both_endpoints(box):
    """RFC 8628 §3.1."""
    assert ask("box").status_code == 401
    asked = codes("box", client_secret=CONFIDENTIAL_SECRET)
    answer(make_browser(), asked)
    assert poll(asked, "box").status_code == 401
    assert poll(asked, "box", client_secret=CONFIDENTIAL_SECRET).status_code == 200


def test_resources_of_the_request_are_the_audience(television):
    """RFC 8707."""
    body = connect(resource="https://auth.example/mcp")
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["aud"] == "https://auth.example/mcp"


def test_an_immediate_site_writes_the_person_at_the_callback(lazyauth):
    """Spec 1, the two modes: the mode is the site's."""
    lazyauth(REGISTRATION="immediate")
    asked = codes()
    answer(make_browser(), asked)
    assert User.objects.count() == 1
    assert poll(asked).status_code == 200


def test_a_host_that_refuses_the_person_is_told_to_the_device():
    """What ends at the client's redirect URI elsewhere ends at the page here, and the device hears of it."""
    browser = make_browser()
    connect(browser=browser)
    User.objects.update(is_active=False)
    asked, other = codes(), make_browser()
    page = claim(other, asked)
    gone = come_back(other, submit(other, page, provider="demo"), subject="ada")
    assert "/device/done?error=access_denied" in gone.headers["Location"]
    assert "It was not connected" in get(other, gone.headers["Location"]).content.decode()
    assert poll(asked).json()["error"] == "access_denied"


@pytest.mark.parametrize(
    ("flow", "ids"),
    [
        (True, set()),
        (False, set()),
        ({"lifetime": 3600}, {"lazyauth.E123"}),
        ({"interval": 1}, {"lazyauth.E124"}),
        ({"strangers": True}, {"lazyauth.W023"}),
    ],
    ids=["defaults", "off", "lifetime", "interval", "strangers"],
)
def test_the_checks_know_what_must_not_be_deployed(lazyauth, flow, ids):
    """Spec 8.10."""
    lazyauth(DEVICE_FLOW=flow)
    found = {message.id for message in run_checks(tags=["lazyauth"], include_deployment_checks=True)}
    assert found & {"lazyauth.E123", "lazyauth.E124", "lazyauth.W023"} == ids


@pytest.mark.parametrize(
    "flow",
    [{"interval": 0}, {"lifetime": 5}, {"size": 3}, "on", None, 1],
    ids=["0", "5", "name", "on", "none", "1"],
)
def test_the_checks_refuse_what_is_no_such_setting(lazyauth, flow):
    lazyauth(DEVICE_FLOW=flow)
    assert "lazyauth.E003" in {message.id for message in run_checks(tags=["lazyauth"])}


def test_what_the_page_is_called_with_cannot_hurt():
    """I18."""
    for typed in ["<script>alert(1)</script>", "\x00", "x" * 5000, "a&user_code=b"]:
        page = make_browser().get("/device", {"user_code": typed}, secure=True)
        assert page.status_code in (200, 400)
        assert b"<script>alert" not in page.content
    form = {"grant_type": DEVICE_CODE, "client_id": CLIENT_ID}
    assert post_form(make_browser(), "/token", form).json()["error"] == "invalid_request"


VS_CODE = {
    "grant_types": ["authorization_code", "refresh_token", DEVICE_CODE],
    "token_endpoint_auth_method": "none",
    "redirect_uris": ["http://127.0.0.1:33418/"],
}


@pytest.mark.parametrize("strangers", [False, True])
def test_a_document_that_names_the_grant_is_read_at_the_first_request(documents, lazyauth, strangers):  # noqa: F811 - the fixture
    """Spec 8.1: VS Code's document, which was never heard of here. The rest of it is served in any case."""
    lazyauth(DEVICE_FLOW={"strangers": strangers})
    client = documents(**VS_CODE)
    asked = ask(client.client_id)
    if not strangers:
        assert (asked.status_code, asked.json()["error"]) == (400, "unauthorized_client")
        return
    assert asked.status_code == 200, asked.content
    answer(make_browser(), asked.json())
    assert poll(asked.json(), client.client_id).status_code == 200


def test_a_client_of_a_document_that_nobody_used_goes_with_its_devices(documents, lazyauth):  # noqa: F811 - the fixture
    """I16: the sweep of unused clients is not held up by what their devices wait for."""
    lazyauth(DEVICE_FLOW={"strangers": True})
    asked = ask(documents(**VS_CODE).client_id).json()
    claim(make_browser(), asked)
    ClientRegistration.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    call_command("sweep_lazyauth", verbosity=0)
    assert not DeviceAuthorization.objects.exists()
    assert not ClientRegistration.objects.exists()
