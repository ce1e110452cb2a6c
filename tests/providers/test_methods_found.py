"""A provider that says nowhere how this site authenticates: a guess, the other way once, and what worked is kept."""

from __future__ import annotations

import pytest

from django_lazyauth.errors import ProviderUnavailable, RefreshExpired, RefreshTransient
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.providers.registry import get_provider
from tests.support.legs import begin, bundle_of, complete, leg

pytestmark = pytest.mark.django_db

UNKNOWN = {"status": 401, "body": {"error": "invalid_client"}}


def ways(upstream):
    """Return how each token request authenticated."""
    return [
        "post"
        if "client_secret" in entry["form"]
        else "basic"
        if "authorization" in entry["headers"]
        else "none"
        for entry in upstream.requests("/token")
    ]


def found():
    return list(ProviderKeySet.objects.filter(pk="acme").values_list("method_found", flat=True))


@pytest.fixture
def hub(upstream, lazyauth):
    """The provider as one of OAuth 2.0 that leaves the method open. It has no keys."""
    lazyauth(PROVIDERS={"acme": upstream.oauth2_config(token_endpoint_auth_method="auto")})
    return upstream


def test_the_other_method_is_tried_once_and_kept(upstream, pending):
    """OpenID Connect Core §9: client_secret_basic is the default, and not everybody knows."""
    upstream.control(knows_by=["post"])
    assert leg(upstream, pending).identity.subject == "person-1"
    assert leg(upstream, pending).identity.subject == "person-1"
    assert (ways(upstream), found()) == (["basic", "post", "post"], ["client_secret_post"])


def test_a_provider_without_keys_gets_a_row_for_it(hub, pending):
    hub.control(knows_by=["basic"])
    assert leg(hub, pending).identity.subject == "583231"
    assert leg(hub, pending).identity.subject == "583231"
    assert (ways(hub), found()) == (["post", "basic", "basic"], ["client_secret_basic"])


def test_a_refresh_finds_it_too(hub, pending):
    bundle = bundle_of(leg(hub, pending).commit)
    hub.control(knows_by=["basic"])
    assert get_provider("acme").refresh(bundle).access_token
    assert (ways(hub), found()) == (["post", "post", "basic"], ["client_secret_basic"])


def test_what_worked_is_replaced_when_it_works_no_more(hub, pending):
    hub.control(knows_by=["basic"])
    leg(hub, pending)
    hub.control(knows_by=["post"])
    leg(hub, pending)
    assert (ways(hub), found()) == (["post", "basic", "basic", "post"], ["client_secret_post"])


def test_a_code_is_sent_twice_at_most(upstream, pending):
    redirect = begin(pending)
    callback = upstream.authorize(redirect.url, knows_by=[])
    with pytest.raises(ProviderUnavailable) as caught:
        complete(pending, callback, redirect.private)
    assert (caught.value.reason, ways(upstream), found()) == ("misconfigured", ["basic", "post"], [""])


def test_a_refresh_token_is_sent_twice_at_most(hub, pending):
    bundle = bundle_of(leg(hub, pending).commit)
    hub.control(knows_by=[])
    with pytest.raises(RefreshTransient) as caught:
        get_provider("acme").refresh(bundle)
    assert (caught.value.code, ways(hub), found()) == ("invalid_client", ["post", "post", "basic"], [])


@pytest.mark.parametrize("refused", ["sign-in", "refresh"])
def test_who_refuses_what_was_sent_the_second_time_knew_this_site(hub, pending, refused):
    """The first try may have spent the code. The next sign-in works."""
    bundle = bundle_of(leg(hub, pending).commit)
    redirect = begin(pending)
    callback = hub.authorize(redirect.url, token_answers=[UNKNOWN, "invalid_grant"])
    if refused == "sign-in":
        with pytest.raises(ProviderUnavailable, match="code_refused"):
            complete(pending, callback, redirect.private)
    else:
        with pytest.raises(RefreshExpired):
            get_provider("acme").refresh(bundle)
    assert found() == ["client_secret_basic"]


def test_another_error_than_of_the_client_is_final(upstream, pending):
    with pytest.raises(ProviderUnavailable, match="code_refused"):
        leg(upstream, pending, token_answers=["invalid_grant"])
    assert ways(upstream) == ["basic"]


def test_a_method_that_the_operator_names_is_the_only_one(acme, upstream, pending):
    acme(token_endpoint_auth_method="client_secret_basic")
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        leg(upstream, pending, knows_by=["post"])
    assert ways(upstream) == ["basic"]


def test_a_method_that_the_provider_lists_is_the_only_one(upstream, pending):
    ProviderKeySet.objects.all().delete()
    upstream.control(metadata={"token_endpoint_auth_methods_supported": ["client_secret_basic"]})
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        leg(upstream, pending, knows_by=["post"])
    assert ways(upstream) == ["basic"]


def test_a_client_without_a_secret_has_nothing_to_try(acme, upstream, pending):
    acme(client_secret=None)
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        leg(upstream, pending)
    assert ways(upstream) == ["none"]


def test_userinfo_is_asked_by_the_method_that_worked(upstream, lazyauth, pending):
    """HubSpot authenticates the client there."""
    config = upstream.oauth2_config(
        token_endpoint_auth_method="auto",
        userinfo_method="POST",
        userinfo_token="form:token",
        userinfo_auth="client",
        emails_endpoint=None,
    )
    lazyauth(PROVIDERS={"acme": config})
    leg(upstream, pending, knows_by=["basic"], user_method="POST", token_at="form:token")
    asked = upstream.requests("/user")[0]
    assert "authorization" in asked["headers"]
    assert "client_secret" not in asked["form"]
