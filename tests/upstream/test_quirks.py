"""Providers that differ from the RFCs, each as keys of its entry: through our pages to the vault, and a refresh.

A provider process answers as the real one does. Nobody signs in at the real one.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from django_lazyauth.errors import RefreshExpired
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, UpstreamToken
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import store
from tests.support.journey import consent, get, make_browser, post, query_of, redeem, start

from .conftest import go_upstream, sign_in_upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sign_in(upstream, client_, lazyauth, settings):
    """Configure the provider, sign in there, and return the bundle of the vault."""

    def go(config, **levers):
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config})
        upstream.control(**levers)
        sign_in_upstream(upstream, client_)
        return held()

    return go


@pytest.fixture
def fails(upstream, client_, lazyauth, settings):
    """Configure the provider, come back from there, and see that nobody is signed in."""

    def go(config, **levers):
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config})
        browser = make_browser()
        page = go_upstream(upstream, browser, start(browser, client_, provider="acme"), **levers)
        assert "could not be verified" in page.content.decode()
        assert not UpstreamToken.objects.exists()

    return go


def held():
    row = UpstreamToken.objects.get(provider="acme")
    return store.get(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id)


def renewed():
    row = UpstreamToken.objects.get(provider="acme")
    fresh_token(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id, force=True)
    return held()


def test_tiktok_has_another_word_for_the_client_id_and_commas(upstream, sign_in):
    config = upstream.oauth2_config(
        client_id_parameter="client_key", scope_separator=",", scopes=["user.info.basic", "user.info.email"]
    )
    first = sign_in(config, client_names=["client_key", "client_secret"])
    asked = upstream.requests("/authorize")[0]["query"]
    assert asked["client_key"] == upstream.client_id
    assert asked["scope"] == "user.info.basic,user.info.email"
    assert (first.subject, first.access_token[:3]) == ("583231", "at-")
    assert renewed().access_token != first.access_token


def test_wechat_is_asked_by_get_in_its_own_words(upstream, sign_in):
    config = upstream.oauth2_config(
        client_id_parameter="appid",
        client_secret_parameter="secret",
        token_method="GET",
        refresh_endpoint=f"{upstream.issuer}/token/refresh",
        authorize_fragment="wechat_redirect",
        scope_separator=",",
        scopes=["snsapi_login"],
        pkce="none",
        userinfo_token="query:access_token",
        userinfo_params={"lang": "zh_CN", "app": "{client_id}"},
        answer_error={"token": "errcode", "userinfo": "errcode"},
        answer_ok=[0],
        refused_grants=["40030"],
        emails_endpoint=None,
    )
    first = sign_in(
        config,
        client_names=["appid", "secret"],
        token={"token_type": None, "errcode": 0},
        token_at="query:access_token",
        user={"id": "o6_b", "errcode": 0},
    )
    person = upstream.requests("/user")[0]
    assert (person["query"]["lang"], person["query"]["app"]) == ("zh_CN", upstream.client_id)
    assert "authorization" not in person["headers"]
    asked = upstream.requests("/token")[0]
    assert (asked["method"], asked["form"], asked["query"]["appid"], asked["query"]["secret"]) == (
        "GET",
        {},
        upstream.client_id,
        upstream.client_secret,
    )
    assert not {"code_verifier", "client_id", "client_secret"} & set(asked["query"])
    assert renewed().access_token != first.access_token
    assert [entry["method"] for entry in upstream.requests("/token/refresh")] == ["GET"]
    upstream.control(
        token_answers=[{"status": 200, "body": {"errcode": 40030, "errmsg": "invalid refresh_token"}}]
    )
    with pytest.raises(RefreshExpired):
        renewed()


def test_notion_is_asked_with_json_and_a_version(upstream, sign_in):
    config = upstream.oauth2_config(
        token_endpoint_auth_method="client_secret_basic",
        token_body="json",
        headers={"Notion-Version": "2022-06-28"},
        extra_authorize_params={"owner": "user"},
        scopes=[],
    )
    first = sign_in(config)
    assert "scope" not in upstream.requests("/authorize")[0]["query"]
    assert renewed().access_token != first.access_token
    for request, grant in zip(
        upstream.requests("/token"), ("authorization_code", "refresh_token"), strict=True
    ):
        assert request["headers"]["content-type"] == "application/json"
        assert request["headers"]["notion-version"] == "2022-06-28"
        assert request["form"]["grant_type"] == grant
        assert "client_secret" not in request["form"]


def test_slack_says_with_200_that_it_failed(upstream, sign_in, fails):
    config = upstream.config(answer_error={"userinfo": "error"}, userinfo="always")
    fails(config, userinfo={"ok": False, "error": "invalid_auth"})
    assert len(upstream.requests("/userinfo")) == 1
    upstream.control(userinfo={"ok": True})
    assert sign_in(config).subject == "person-1"
    upstream.control(token_answers=[{"status": 200, "body": {"ok": False, "error": "invalid_grant"}}])
    with pytest.raises(RefreshExpired):
        renewed()


def test_slack_has_the_token_of_the_person_beside_that_of_a_bot(upstream, sign_in):
    names = ("access_token", "refresh_token", "scope", "token_type", "expires_in")
    config = upstream.oauth2_config(
        scope_parameter="user_scope",
        scope_separator=",",
        token_response={name: f"authed_user.{name}" for name in names},
    )
    first = sign_in(config, token_under="authed_user", token={"scope": "identity.basic,identity.email"})
    assert first.access_token.startswith("at-")
    assert (first.scope, first.refresh_token[:3]) == ("identity.basic identity.email", "rt-")
    second = renewed()
    assert second.access_token.startswith("at-")
    assert second.access_token != first.access_token


def test_twitch_answers_with_a_list_of_scopes(upstream, sign_in):
    claims = {"id_token": {"email": None, "email_verified": None}}
    config = upstream.config(
        claims_parameter=claims,
        token_endpoint_auth_method="client_secret_post",
        headers={"Client-ID": "{client_id}"},
        answer_error={"token": "message"},
        refused_grants=["Invalid refresh token"],
    )
    bundle = sign_in(config, token={"scope": ["openid", "user:read:email"]})
    assert bundle.scope == "openid user:read:email"
    assert json.loads(upstream.requests("/authorize")[0]["query"]["claims"]) == claims
    assert upstream.requests("/token")[0]["headers"]["client-id"] == upstream.client_id
    refused = {"status": 400, "body": {"status": 400, "message": "Invalid refresh token"}}
    upstream.control(token_answers=[refused])
    with pytest.raises(RefreshExpired) as caught:
        renewed()
    assert "Invalid" not in str(caught.value)


def test_linear_is_asked_by_graphql(upstream, sign_in, fails):
    query = {"query": "{ viewer { id name email } }"}
    config = upstream.oauth2_config(
        userinfo_method="POST",
        userinfo_body=query,
        answer_error={"userinfo": "errors"},
        subject="data.viewer.id",
        claims={"email": "data.viewer.email", "name": "data.viewer.name"},
        emails_endpoint=None,
        scope_separator=",",
    )
    failed = {"data": None, "errors": [{"message": "no"}]}
    fails(config, user_method="POST", user=failed)
    viewer = {"id": "7f", "name": "Octo", "email": "octo@linear.example"}
    assert sign_in(config, user={"data": {"viewer": viewer}, "errors": []}).subject == "7f"
    asked = upstream.requests("/user")[-1]
    assert (asked["form"], asked["headers"]["content-type"]) == (query, "application/json")


def test_dropbox_wants_a_post_without_a_body(upstream, sign_in):
    config = upstream.oauth2_config(userinfo_method="POST", emails_endpoint=None)
    assert sign_in(config, user_method="POST").subject == "583231"
    asked = upstream.requests("/user")[0]
    assert "content-type" not in asked["headers"]
    assert asked["headers"]["content-length"] == "0"


def test_hubspot_wants_the_token_and_the_client_in_a_form(upstream, sign_in):
    config = upstream.oauth2_config(
        userinfo_method="POST", userinfo_token="form:token", userinfo_auth="client", emails_endpoint=None
    )
    sign_in(config, user_method="POST", token_at="form:token")
    asked = upstream.requests("/user")[0]
    assert (asked["form"]["client_id"], asked["form"]["client_secret"]) == (
        upstream.client_id,
        upstream.client_secret,
    )
    assert (asked["query"], "authorization" in asked["headers"]) == ({}, False)


def test_yandex_has_another_word_for_bearer(upstream, sign_in):
    config = upstream.oauth2_config(userinfo_token="header:OAuth", emails_endpoint=None)
    assert sign_in(config, token_at="header:OAuth").subject == "583231"


APPLE = {
    "response_mode": "form_post",
    "answer_params": {"user": "json"},
    "claims": {"name": ["name", {"join": ["answer:user.name.firstName", "answer:user.name.lastName"]}]},
    "token_endpoint_auth_method": "client_secret_post",
}
USER = '{"name": {"firstName": "Ada", "lastName": "Lovelace"}, "email": "unsigned@people.example"}'


@pytest.fixture
def apple(upstream, client_, lazyauth, settings):
    """Begin a sign-in at a provider that answers with a POST; return a browser and what goes back."""
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(**APPLE)})
    upstream.control(claims={"name": None}, userinfo={"name": None}, callback={"user": USER})
    browser = make_browser()
    leave = start(browser, client_, provider="acme").headers["Location"]
    return browser, *upstream.authorize_by_post(leave)


def post_back(action, fields):
    """Post as a browser does from another site: without the cookies of ours."""
    stranger = make_browser()
    answer = post(stranger, urlsplit(action).path, fields, headers={"origin": "https://appleid.example"})
    assert not stranger.cookies
    return answer


def come_in(client, browser, address):
    answer = get(browser, address)
    if not answer.headers["Location"].startswith(client.redirect_uri):
        answer = consent(browser, answer)
    return redeem(client, query_of(answer.headers["Location"])["code"])


def test_apple_posts_the_name_once(apple, client_, upstream):
    """OAuth 2.0 Form Post Response Mode; the name is in no address, and fills the name only."""
    browser, action, fields = apple
    answer = post_back(action, fields)
    assert answer.status_code == 303
    assert set(query_of(answer.headers["Location"])) == {"code", "state", "iss"}
    row = PendingAuthorization.objects.get()
    assert "Ada" not in row.private
    assert (row.status, row.user_id) == ("sent_upstream", None)
    assert come_in(client_, browser, answer.headers["Location"]).status_code == 200
    person = ProviderIdentity.objects.get()
    assert (person.name, person.email) == ("Ada Lovelace", "person-1@acme.example")


def test_a_signed_name_goes_before_a_posted_one(apple, client_, upstream):
    browser, action, fields = apple
    upstream.control(claims={"name": "Signed"})
    come_in(client_, browser, post_back(action, fields).headers["Location"])
    assert ProviderIdentity.objects.get().name == "Signed"


def test_the_first_posted_answer_counts(apple, client_):
    """Whoever knows the state can post. What came first is not replaced."""
    browser, action, fields = apple
    post_back(action, fields)
    later = post_back(action, {**fields, "user": USER.replace("Ada", "Eve")})
    come_in(client_, browser, later.headers["Location"])
    assert ProviderIdentity.objects.get().name == "Ada Lovelace"


def test_a_posted_answer_of_somebody_else_signs_nobody_in(apple, client_):
    """I7: login CSRF. An attacker lets the browser of a victim post the attacker's own code and state."""
    _, action, fields = apple
    victim = make_browser()
    start(victim, client_, provider="acme")
    answer = get(victim, post_back(action, fields).headers["Location"])
    assert answer.status_code == 400
    assert not UpstreamToken.objects.exists()


def test_a_posted_answer_at_the_address_of_another_provider_is_not_kept(apple, client_):
    """RFC 9700 §4.4: a mix-up."""
    browser, action, fields = apple
    before = PendingAuthorization.objects.get().private
    answer = post_back(action.replace("acme", "demo"), fields)
    assert PendingAuthorization.objects.get().private == before
    assert "error=server_error" in get(browser, answer.headers["Location"]).headers["Location"]


def test_a_posted_answer_after_its_state_was_spent_changes_nothing(apple, client_):
    browser, action, fields = apple
    address = post_back(action, {**fields, "user": ""}).headers["Location"]
    assert come_in(client_, browser, address).status_code == 200
    row = PendingAuthorization.objects.get()
    post_back(action, fields)
    again = PendingAuthorization.objects.get()
    assert (again.private, again.updated_at, again.status) == (row.private, row.updated_at, row.status)


@pytest.mark.parametrize(
    "user",
    ["", "{", "[" * 2000, "x" * 2049, '{"name": {"firstName": 7}}', '{"name": "\\u0000"}', '"Ada"', "[[1]]"],
)
def test_a_posted_value_that_is_none_refuses_nobody(apple, client_, user):
    browser, action, fields = apple
    answer = post_back(action, {**fields, "user": user})
    assert come_in(client_, browser, answer.headers["Location"]).status_code == 200
    assert ProviderIdentity.objects.get().name in ("", "7")


def test_linkedin_has_neither_pkce_nor_a_nonce(upstream, sign_in):
    config = upstream.config(pkce="none", nonce="none", token_endpoint_auth_method="client_secret_post")
    bundle = sign_in(config)
    asked = upstream.requests("/authorize")[0]["query"]
    assert not {"nonce", "code_challenge", "code_challenge_method"} & set(asked)
    assert (bundle.subject, bool(bundle.id_token)) == ("person-1", True)
