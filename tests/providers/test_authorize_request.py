"""What the authorization request to an upstream looks like."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from django_lazyauth.checks.providers import check_providers
from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.providers.registry import get_provider
from tests.support.legs import CALLBACK, STATE, begin, complete, leg, pending_of

pytestmark = pytest.mark.django_db


def query_of(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def warnings():
    return [found.id for found in check_providers()]


def test_a_space_is_sent_as_percent_20(upstream, pending):
    """Some servers read "+" as a plus sign."""
    url = begin(pending).url
    assert "scope=openid%20profile%20email&" in url
    assert "+" not in url


def test_scopes_are_joined_and_named_as_the_provider_reads_them(acme, pending):
    acme(scope_separator=",", scope_parameter="user_scope", client_id_parameter="client_key")
    query = query_of(begin(pending).url)
    assert query["user_scope"] == "openid,profile,email"
    assert query["client_key"] == "lazyauth-at-acme"
    assert not {"scope", "client_id"} & set(query)


@pytest.mark.parametrize(
    ("prompt_params", "sent"),
    [
        (
            {"login": {"auth_type": "reauthenticate"}},
            {"auth_type": "reauthenticate", "prompt": "select_account"},
        ),
        ({"login": {}}, {"prompt": "select_account"}),
        ({"login": {}, "select_account": {}}, {}),
        ({"login": {"prompt": "consent"}}, {"prompt": "consent select_account"}),
        ({"login": {"prompt": "force"}, "select_account": {"prompt": "force"}}, {"prompt": "force"}),
    ],
)
def test_a_wish_of_the_client_is_said_in_the_providers_words(acme, application, prompt_params, sent):
    acme(prompt_params=prompt_params)
    query = query_of(begin(pending_of(application, prompt="login select_account")).url)
    assert {name: query[name] for name in ("prompt", "auth_type") if name in query} == sent


def test_a_clients_own_wish_for_consent_is_for_this_site(acme, application):
    acme(offline="always")
    query = query_of(begin(pending_of(application, prompt="consent select_account")).url)
    assert query["prompt"] == "select_account"


@pytest.mark.parametrize(
    ("config", "used", "is_asked"),
    [
        ({}, {}, False),
        ({"scopes": ["openid", "profile", "email", "address", "phone"]}, {}, False),
        ({"scopes": ["openid", "calendar"]}, {}, True),
        ({"scopes": ["openid", "offline_access"]}, {}, True),
        ({"offline": "always"}, {}, True),
        ({"scopes": ["openid", "calendar"], "offline": "never"}, {}, False),
        ({}, {"UPSTREAM_SWAP": {"paths": {"/tools/": "acme"}}}, True),
        ({}, {"UPSTREAM_SWAP": {"paths": {"/tools/": "demo"}}}, False),
        ({}, {"UPSTREAM_TOKEN_CLIENTS": {"one": ["demo"], "two": ["acme"]}}, True),
        ({}, {"CHAINS": [{"scope": "calendar", "providers": ["demo", "acme"]}]}, True),
        ({"offline": "never"}, {"UPSTREAM_SWAP": {"paths": {"/tools/": "acme"}}}, False),
    ],
)
def test_who_uses_its_tokens_asks_for_refresh_tokens(acme, lazyauth, application, config, used, is_asked):
    acme(offline_params={"access_type": "offline", "echo": "{client_id}"}, **config)
    lazyauth(**used)
    query = query_of(begin(pending_of(application)).url)
    assert ("offline_access" in query["scope"].split()) is is_asked
    assert query["scope"].split().count("offline_access") <= 1
    assert (query.get("access_type"), query.get("echo")) == (
        ("offline", "lazyauth-at-acme") if is_asked else (None, None)
    )
    assert "prompt" not in query
    assert get_provider("acme").grant_terms().is_standing is is_asked


def test_the_scopes_of_a_preset_ask_for_no_refresh_token(lazyauth, application):
    own = {"client_id": "us", "client_secret": "s"}
    lazyauth(PROVIDERS={"hub": {"preset": "atlassian", **own}})
    assert "offline_access" not in query_of(begin(pending_of(application), "hub").url)["scope"].split()
    lazyauth(PROVIDERS={"hub": {"preset": "atlassian", "scopes": ["read:me", "read:jira-work"], **own}})
    query = query_of(begin(pending_of(application, prompt="login"), "hub").url)
    assert query["scope"] == "read:me read:jira-work offline_access"
    # It gives one at a consent only, so each sign-in asks for it.
    assert query["prompt"] == "login consent"


def test_a_refresh_token_of_an_oauth_provider_hangs_on_no_sign_in(upstream, lazyauth):
    lazyauth(PROVIDERS={"hub": upstream.oauth2_config(offline="never")})
    assert get_provider("hub").grant_terms().is_standing
    lazyauth(PROVIDERS={"hub": upstream.oauth2_config(offline="never", grant="session")})
    assert not get_provider("hub").grant_terms().is_standing


def test_consent_is_asked_for_in_the_providers_words(acme, application):
    acme(offline="always", offline_prompt="always", prompt_params={"consent": {"approval_prompt": "force"}})
    query = query_of(begin(pending_of(application)).url)
    assert query["approval_prompt"] == "force"
    assert "prompt" not in query


def test_a_provider_that_refuses_a_verifier_gets_none(acme, upstream, pending):
    """LinkedIn answers a code_verifier with an error."""
    acme(pkce="none")
    redirect = begin(pending)
    assert not {"code_challenge", "code_challenge_method"} & set(query_of(redirect.url))
    assert leg(upstream, pending).identity.subject == "person-1"
    assert "code_verifier" not in upstream.requests("/token")[0]["form"]


def test_a_leg_begun_without_pkce_is_not_continued_with_it(acme, upstream, pending):
    """I9."""
    acme(pkce="none")
    redirect = begin(pending)
    acme()
    with pytest.raises(ProviderUnavailable, match="configuration_changed"):
        complete(pending, upstream.authorize(redirect.url), redirect.private)
    assert upstream.requests("/token") == []


def test_a_provider_without_nonces_is_sent_none(acme, upstream, pending):
    acme(nonce="none")
    redirect = begin(pending)
    assert "nonce" not in query_of(redirect.url)
    assert "nonce" not in redirect.private
    assert leg(upstream, pending).identity.subject == "person-1"


def test_an_optional_nonce_is_checked_where_it_is(acme, upstream, pending):
    """OpenID Connect Core §3.1.3.7."""
    acme(nonce="optional")
    assert "nonce" in query_of(begin(pending).url)
    assert leg(upstream, pending, claims={"nonce": None}).identity.subject == "person-1"
    for nonce in ("other", 7, ""):
        with pytest.raises(IdentityRejected, match="nonce"):
            leg(upstream, pending, claims={"nonce": nonce})


@pytest.mark.parametrize(
    ("config", "is_warned"),
    [
        ({"pkce": "none", "nonce": "none"}, True),
        ({"pkce": "none", "nonce": "optional"}, False),
        ({"pkce": "none"}, False),
        ({"nonce": "none"}, False),
    ],
)
def test_a_code_that_could_be_stolen_is_warned_of(acme, config, is_warned):
    """RFC 9700 §4.5."""
    acme(**config)
    assert ("lazyauth.W015" in warnings()) is is_warned


def test_a_code_of_an_oauth_provider_without_pkce_could_be_stolen(upstream, lazyauth):
    """It has no nonce."""
    lazyauth(PROVIDERS={"hub": upstream.oauth2_config(pkce="none")})
    assert warnings() == ["lazyauth.W015"]
    lazyauth(PROVIDERS={"hub": upstream.oauth2_config()})
    assert warnings() == []


def test_single_claims_are_asked_for_as_json(acme, pending):
    """OpenID Connect Core §5.5, as Twitch needs it."""
    wanted = {"id_token": {"email": None, "email_verified": None}}
    acme(claims_parameter=wanted)
    assert json.loads(query_of(begin(pending).url)["claims"]) == wanted


def test_a_fragment_ends_the_request(acme, pending):
    """WeChat shows its page with it only."""
    acme(authorize_fragment="wechat_redirect")
    url = begin(pending).url
    assert url.endswith("#wechat_redirect")
    assert "nonce" in query_of(url)


def test_placeholders_of_the_request_are_filled(acme, upstream, pending):
    acme(
        authorization_endpoint=f"{upstream.issuer}/authorize/{{client_id}}?back={{redirect_uri}}",
        extra_authorize_params={"echo": "{state}/{client_id}"},
    )
    url = begin(pending).url
    assert urlsplit(url).path == "/authorize/lazyauth-at-acme"
    query = query_of(url)
    assert (query["back"], query["echo"]) == (CALLBACK, f"{STATE}/lazyauth-at-acme")


def test_what_a_provider_publishes_is_not_filled(upstream, pending):
    published = f"{upstream.issuer}/authorize/{{state}}"
    upstream.control(metadata={"authorization_endpoint": published})
    assert begin(pending).url.startswith(published + "?")
