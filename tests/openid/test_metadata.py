"""What a configured provider publishes about itself: odd members, demands, and an address that moved."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from django_lazyauth.errors import ProviderUnavailable, RefreshTransient
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.openid import key_fetch
from django_lazyauth.providers.registry import get_provider
from tests.support.celery_workers import wait_for
from tests.support.journey import make_browser, start
from tests.support.legs import bundle_of, leg, pending_of

pytestmark = pytest.mark.django_db(transaction=True)

METADATA = "/.well-known/openid-configuration"


def descriptor():
    return key_fetch.configured_descriptor("acme")


def row():
    return ProviderKeySet.objects.get(pk="acme")


@pytest.fixture
def pending(application):
    return pending_of(application)


@pytest.mark.parametrize(
    ("member", "value", "word"),
    [
        ("end_session_endpoint", "http://id.example/logout", "not_https"),
        ("end_session_endpoint", 7, "type"),
        ("revocation_endpoint", ["https://id.example"], "type"),
        ("userinfo_endpoint", "https://id.example/#me", "url"),
        ("authorization_response_iss_parameter_supported", "true", "type"),
        ("token_endpoint_auth_methods_supported", "client_secret_post", "type"),
    ],
)
def test_an_optional_member_that_is_odd_is_left_out_and_noted(upstream, pending, member, value, word):
    upstream.control(metadata={member: value})
    key_fetch.refresh(descriptor())
    assert row().notes == [f"{member}: {word}"]
    assert not row().configuration.get(member)
    if member != "userinfo_endpoint":
        assert leg(upstream, pending).identity.subject == "person-1"
    upstream.control(metadata={})
    key_fetch.refresh(descriptor(), force=True)
    assert row().notes == []


def test_a_member_that_is_needed_and_odd_leaves_what_stood(upstream):
    key_fetch.refresh(descriptor())
    good = row()
    upstream.control(metadata={"token_endpoint": 7, "end_session_endpoint": 7})
    with pytest.raises(SourceFailed, match="endpoint"):
        key_fetch.refresh(descriptor(), force=True)
    assert (row().configuration, row().notes, row().fetched_at) == (good.configuration, [], good.fetched_at)
    assert row().last_error == "endpoint"
    assert timezone.now() - row().last_error_at < timedelta(minutes=1)


def test_an_odd_member_that_the_operator_gave_is_noted_only(upstream, pending, lazyauth):
    lazyauth(PROVIDERS={"acme": upstream.config(token_endpoint=f"{upstream.issuer}/token")})
    upstream.control(metadata={"token_endpoint": 7})
    assert leg(upstream, pending).identity.subject == "person-1"
    assert row().notes == ["token_endpoint: type"]


# --- Demands ----------------------------------------------------------------------------------------------

CERTIFICATES = ["tls_client_auth", "self_signed_tls_client_auth"]


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ({"require_pushed_authorization_requests": True}, "par"),
        ({"require_signed_request_object": True}, "request_object"),
        ({"token_endpoint_auth_methods_supported": CERTIFICATES}, "mtls"),
    ],
)
def test_who_demands_what_we_lack_is_set_up_wrongly_before_anybody_is_sent_there(
    upstream, client_, caplog, metadata, word
):
    upstream.control(metadata=metadata)
    caplog.set_level(logging.INFO, "django_lazyauth.upstream")
    browser = make_browser()
    page = start(browser, client_, provider="acme")
    assert page.status_code != 302 or not page.headers["Location"].startswith(upstream.issuer)
    [line] = [record for record in caplog.records if record.name == "django_lazyauth.upstream"]
    assert (line.reason, line.detail, line.levelname) == ("misconfigured", word, "ERROR")
    assert upstream.requests("/authorize") == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"require_pushed_authorization_requests": False},
        {"pushed_authorization_request_endpoint": "https://id.example/par"},
        {"token_endpoint_auth_methods_supported": [*CERTIFICATES, "client_secret_basic"]},
        {"token_endpoint_auth_methods_supported": []},
        {"require_signed_request_object": "true"},
    ],
)
def test_what_is_only_offered_is_no_demand(upstream, pending, metadata):
    upstream.control(metadata=metadata)
    assert leg(upstream, pending).identity.subject == "person-1"


def test_an_operator_who_names_a_method_knows_better(upstream, pending, lazyauth):
    lazyauth(PROVIDERS={"acme": upstream.config(token_endpoint_auth_method="client_secret_basic")})
    upstream.control(metadata={"token_endpoint_auth_methods_supported": CERTIFICATES})
    assert leg(upstream, pending).identity.subject == "person-1"


def test_an_encrypted_id_token_is_a_wrong_setting(upstream, pending):
    """RFC 7516 §3.1."""
    with pytest.raises(ProviderUnavailable, match="encrypted_id_token"):
        leg(upstream, pending, token={"id_token": "e30.AA.AA.AA.AA"})


# --- A token endpoint that moved --------------------------------------------------------------------------


def moved(upstream):
    """The stored metadata name a token endpoint that is gone, and are still fresh."""
    key_fetch.refresh(descriptor())
    configuration = row().configuration | {"token_endpoint": f"{upstream.issuer}/gone"}
    ProviderKeySet.objects.update(configuration=configuration)
    return len(upstream.requests(METADATA))


def test_a_token_endpoint_that_answers_404_has_the_metadata_refreshed(upstream, pending):
    before = moved(upstream)
    with pytest.raises(ProviderUnavailable):
        leg(upstream, pending)
    wait_for(lambda: row().configuration["token_endpoint"] == f"{upstream.issuer}/token")
    assert leg(upstream, pending).identity.subject == "person-1"
    assert len(upstream.requests(METADATA)) == before + 1


def test_it_is_refreshed_once_in_five_minutes(upstream, pending):
    before = moved(upstream)
    upstream.control(metadata={"token_endpoint": f"{upstream.issuer}/gone"})
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            leg(upstream, pending)
    wait_for(lambda: row().refreshing_until is None and len(upstream.requests(METADATA)) > before)
    assert len(upstream.requests(METADATA)) == before + 1
    ProviderKeySet.objects.update(endpoint_failed_at=timezone.now() - timedelta(minutes=6))
    with pytest.raises(ProviderUnavailable):
        leg(upstream, pending)
    wait_for(lambda: len(upstream.requests(METADATA)) == before + 2)


@pytest.mark.parametrize("answer", ["html", "close"])
def test_so_does_one_that_answers_a_page_or_nothing(upstream, pending, answer):
    key_fetch.refresh(descriptor())
    with pytest.raises(ProviderUnavailable):
        leg(upstream, pending, token_answers=[answer])
    wait_for(lambda: len(upstream.requests(METADATA)) == 2)


def test_so_does_one_that_redirects_and_the_operator_is_told_where_to(upstream, pending):
    key_fetch.refresh(descriptor())
    upstream.control(redirects={"/token": "https://u:p@new.example:8443/t?code=s3cret#f"})
    with pytest.raises(ProviderUnavailable) as caught:
        leg(upstream, pending)
    assert caught.value.detail == "bad_answer: a redirect to https://new.example:8443/t"
    wait_for(lambda: len(upstream.requests(METADATA)) == 2)


def test_metadata_that_moved_are_not_followed_and_the_operator_is_told_where_to(upstream, pending, caplog):
    """I14. Nobody else is told."""
    upstream.control(redirects={METADATA: f"{upstream.issuer}/elsewhere?x=1"})
    with pytest.raises(ProviderUnavailable) as caught:
        leg(upstream, pending)
    assert str(caught.value) == "redirect"
    assert caught.value.detail == f"redirect: to {upstream.issuer}/elsewhere, which is not followed"
    assert f"keys of acme: refresh failed (redirect: to {upstream.issuer}/elsewhere" in caplog.text
    assert upstream.requests("/elsewhere") == []


def test_a_refresh_that_is_redirected_is_tried_again_later(upstream, pending, caplog):
    bundle = bundle_of(leg(upstream, pending).commit)
    upstream.control(redirects={"/token": "/elsewhere?refresh_token=s3cret"})
    with pytest.raises(RefreshTransient, match="http_302"):
        get_provider("acme").refresh(bundle)
    assert "acme: its token endpoint redirects to /elsewhere, which is not followed" in caplog.text
    assert "s3cret" not in caplog.text
    wait_for(lambda: len(upstream.requests(METADATA)) == 2)


def test_where_userinfo_redirects_to_is_told_by_its_host_only(upstream, pending, settings):
    """I13: its path may hold the access token, and a redirect repeats it."""
    settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.oauth2_config()
    upstream.control(redirects={"/user": "https://id.example/of/at-123/"})
    with pytest.raises(ProviderUnavailable) as caught:
        leg(upstream, pending)
    assert (caught.value.stage, caught.value.http_status) == ("userinfo", 302)
    assert caught.value.detail == "bad_answer: a redirect to https://id.example"


def test_a_refused_code_is_no_reason(upstream, pending):
    key_fetch.refresh(descriptor())
    with pytest.raises(ProviderUnavailable):
        leg(upstream, pending, token_answers=["invalid_grant"])
    assert row().endpoint_failed_at is None


def test_a_refresh_that_finds_no_endpoint_is_one_too(upstream, pending):
    bundle = bundle_of(leg(upstream, pending).commit)
    before = moved(upstream)
    with pytest.raises(RefreshTransient):
        get_provider("acme").refresh(bundle)
    wait_for(lambda: len(upstream.requests(METADATA)) == before + 1)
