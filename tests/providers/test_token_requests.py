"""What a request to the token endpoint of an upstream looks like."""

from __future__ import annotations

import base64
import logging
import secrets
from urllib.parse import quote

import jwt
import pytest
from django.views.debug import ExceptionReporter
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import LazyAuthError, ProviderUnavailable, RefreshTransient
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.providers.registry import get_provider
from tests.support.legs import CALLBACK, STATE, begin, bundle_of, complete, leg

pytestmark = pytest.mark.django_db


def token_request(upstream):
    return upstream.requests("/token")[-1]


@pytest.mark.parametrize(
    ("listed", "is_in_form"),
    [
        (None, False),
        (["client_secret_post"], True),
        (["private_key_jwt", "client_secret_basic"], False),
        ("x", False),
    ],
)
def test_the_provider_says_how_this_site_authenticates(upstream, pending, listed, is_in_form):
    """RFC 8414 §2."""
    ProviderKeySet.objects.all().delete()
    upstream.control(metadata={"token_endpoint_auth_methods_supported": listed})
    leg(upstream, pending)
    assert ("client_secret" in token_request(upstream)["form"]) is is_in_form


def test_a_secret_can_sign_an_assertion(acme, upstream, pending):
    """client_secret_jwt of OpenID Connect Core §9."""
    acme(token_endpoint_auth_method="client_secret_jwt")
    leg(upstream, pending)
    form = token_request(upstream)["form"]
    assert "client_secret" not in form
    claims = jwt.decode(
        form["client_assertion"],
        upstream.client_secret,
        algorithms=["HS256"],
        audience=f"{upstream.issuer}/token",
    )
    assert claims["iss"] == claims["sub"] == upstream.client_id


def test_basic_can_be_sent_as_it_is(acme, upstream, pending):
    """Some servers do not decode what RFC 6749 §2.3.1 encodes."""
    acme(basic_encoding="raw")
    leg(upstream, pending, raw_basic=True)
    sent = token_request(upstream)["headers"]["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == f"{upstream.client_id}:{upstream.client_secret}"
    acme(token_endpoint_auth_method="client_secret_basic")
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        leg(upstream, pending)


def test_parameters_are_added_and_filled(acme, upstream, pending):
    acme(token_params={"state": "{state}", "back": "{redirect_uri}", "json": '{"a": 1}'})
    leg(upstream, pending)
    form = token_request(upstream)["form"]
    assert (form["state"], form["back"], form["json"]) == (STATE, CALLBACK, '{"a": 1}')


def test_its_headers_are_sent_with_every_request(acme, upstream, pending):
    acme(headers={"X-Client": "{client_id}", "user-agent": "corp/1", "Accept": "application/vnd.corp+json"})
    success = leg(upstream, pending)
    get_provider("acme").revoke(bundle_of(success.commit))
    for path in ("/token", "/revoke"):
        headers = upstream.requests(path)[-1]["headers"]
        assert headers["x-client"] == upstream.client_id
        assert (headers["user-agent"], headers["accept"]) == ("corp/1", "application/vnd.corp+json")


def test_a_refresh_has_an_endpoint_and_parameters_of_its_own(acme, upstream, pending):
    acme(refresh_endpoint=f"{upstream.issuer}/token/refresh", refresh_params={"app": "{client_id}"})
    commit = leg(upstream, pending).commit
    get_provider("acme").refresh(bundle_of(commit))
    form = upstream.requests("/token/refresh")[0]["form"]
    assert (form["app"], form["refresh_token"]) == (upstream.client_id, commit["refresh_token"])
    assert "app" not in token_request(upstream)["form"]


@pytest.mark.parametrize("answer", ["500", "html", "close", "invalid_grant"])
def test_a_secret_in_an_address_is_in_no_error_and_no_log(acme, upstream, pending, caplog, answer):
    """I13: a GET has code and secret in its address."""
    caplog.set_level(logging.DEBUG)
    acme(token_method="GET", token_endpoint_auth_method="client_secret_post")
    redirect = begin(pending)
    callback = upstream.authorize(redirect.url, token_answers=[answer] * 2)
    bundle = bundle_of({"access_token": secrets.token_hex(), "refresh_token": secrets.token_hex()})
    hidden = [upstream.client_secret, quote(upstream.client_secret, safe=""), bundle.refresh_token]
    for call in (
        lambda: complete(pending, callback, redirect.private),
        lambda: get_provider("acme").refresh(bundle),
    ):
        with pytest.raises(LazyAuthError) as caught:
            call()
        # Without the frame of this test, which holds what it looks for.
        report = ExceptionReporter(None, caught.type, caught.value, caught.tb.tb_next)
        told = f"{caught.value!r} {report.get_traceback_html()} {report.get_traceback_text()} {caplog.text}"
        assert not [secret for secret in hidden if secret in told]
    for request in upstream.requests("/token"):
        assert request["method"] == "GET"
        assert request["query"]["client_secret"] == upstream.client_secret


def test_an_address_that_grows_too_long_is_an_outage(acme, upstream, pending):
    acme(token_method="GET", token_params={"pad": "x" * 2048})
    with pytest.raises(ProviderUnavailable, match="unreachable"):
        leg(upstream, pending)
    with pytest.raises(RefreshTransient):
        get_provider("acme").refresh(bundle_of({"access_token": "a", "refresh_token": "r" * 2048}))


def test_placeholders_of_configured_endpoints_are_filled_and_encoded(upstream, lazyauth, pending):
    client_id = upstream.client_id
    config = upstream.oauth2_config(
        token_endpoint=f"{upstream.issuer}/token?app={{client_id}}",
        refresh_endpoint=f"{upstream.issuer}/token/refresh?app={{client_id}}",
        userinfo_endpoint=f"{upstream.issuer}/user?app={{client_id}}&token={{access_token}}",
        emails_endpoint=f"{upstream.issuer}/user/emails?app={{client_id}}",
        revocation_endpoint=f"{upstream.issuer}/revoke?app={{client_id}}&token={{access_token}}",
    )
    lazyauth(PROVIDERS={"acme": config})
    upstream.control(prefix="a/b&c=")
    bundle = bundle_of(leg(upstream, pending).commit)
    get_provider("acme").refresh(bundle)
    get_provider("acme").revoke(bundle)
    for path in ("/token", "/token/refresh", "/user", "/user/emails", "/revoke"):
        [asked] = upstream.requests(path)
        assert asked["query"]["app"] == client_id
    assert upstream.requests("/user")[0]["query"]["token"] == bundle.access_token
    assert upstream.requests("/revoke")[0]["query"]["token"] == bundle.access_token


@pytest.mark.parametrize("member", ["token_endpoint", "userinfo_endpoint", "revocation_endpoint"])
def test_no_endpoint_that_a_provider_publishes_is_filled(acme, upstream, pending, member):
    """What it publishes does not decide where a token is written."""
    path = member.removesuffix("_endpoint")
    upstream.control(metadata={member: f"{upstream.issuer}/{path}?app={{client_id}}&sent={{access_token}}"})
    acme(userinfo="always")
    get_provider("acme").revoke(bundle_of(leg(upstream, pending).commit))
    query = upstream.requests(f"/{path}")[0]["query"]
    assert (query["app"], query["sent"]) == ("{client_id}", "{access_token}")


def test_a_fault_on_the_way_reports_no_address(acme, upstream, pending, monkeypatch):
    """I13: error reports show the variables of each frame."""

    @sensitive_variables()
    def fault(url):
        raise RuntimeError

    acme(token_method="GET", token_endpoint_auth_method="client_secret_post")
    redirect = begin(pending)
    callback = upstream.authorize(redirect.url)
    monkeypatch.setattr("django_lazyauth.kit.fetch.addresses.urlsplit", fault)
    with pytest.raises(RuntimeError) as caught:
        complete(pending, callback, redirect.private)
    frames = caught.tb.tb_next
    told = ExceptionReporter(None, caught.type, caught.value, frames).get_traceback_html()
    assert "parse" in told
    assert quote(upstream.client_secret, safe="") not in told
