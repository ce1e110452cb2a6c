"""Providers that differ from the RFCs, each as keys of its entry: through our pages to the vault, and a refresh.

A provider process answers as the real one does. Nobody signs in at the real one.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import jwt
import pytest

from django_lazyauth.errors import RefreshExpired, RefreshTransient
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, UpstreamToken
from django_lazyauth.openid.presets import PRESETS
from django_lazyauth.providers.registry import get_provider
from tests.support.journey import consent, get, make_browser, post, query_of, redeem, start

from .conftest import go_upstream, held, renewed, sign_in_upstream

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


def at(upstream, preset, **changes):
    """Return an entry of *preset* whose endpoints are those of the provider process."""
    entry = {
        "preset": preset,
        "client_id": upstream.client_id,
        "client_secret": upstream.client_secret,
        "authorization_endpoint": f"{upstream.issuer}/authorize",
        "token_endpoint": f"{upstream.issuer}/token",
        **changes,
    }
    if PRESETS[preset].entry.get("userinfo_endpoint"):
        entry["userinfo_endpoint"] = f"{upstream.issuer}/user"
    if PRESETS[preset].entry.get("refresh_endpoint"):
        entry["refresh_endpoint"] = f"{upstream.issuer}/token/refresh"
    return entry


def test_wechat_is_asked_by_get_in_its_own_words(upstream, sign_in):
    openid = {"openid": "o6_b", "unionid": "u6_b"}
    first = sign_in(
        at(upstream, "wechat"),
        client_names=["appid", "secret"],
        token={"token_type": None, "errcode": 0, **openid},
        token_at="query:access_token",
        user={**openid, "nickname": "Octo", "errcode": 0},
    )
    assert first.subject == "u6_b"
    person = upstream.requests("/user")[0]
    assert (person["query"]["openid"], person["query"]["lang"]) == ("o6_b", "zh_CN")
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


VK = {
    "callback": {"device_id": "device-1", "type": "code_v2", "ext_id": "not kept"},
    "token_at": "form:access_token",
    "user_method": "POST",
    "user": {"user": {"user_id": "77", "first_name": "Ada", "last_name": "L", "email": "ada@vk.example"}},
}


def test_vk_names_the_device_in_every_request(upstream, sign_in):
    first = sign_in(at(upstream, "vk"), **VK)
    assert (first.subject, ProviderIdentity.objects.get().name) == ("77", "Ada L")
    authorized = upstream.requests("/authorize")[0]["query"]
    redeemed = upstream.requests("/token")[0]["form"]
    assert (redeemed["device_id"], redeemed["state"]) == ("device-1", authorized["state"])
    asked = upstream.requests("/user")[0]["form"]
    assert (asked["client_id"], set(asked)) == (upstream.client_id, {"client_id", "access_token"})
    assert "device-1" not in UpstreamToken.objects.get().refresh_token
    second = renewed()
    third = renewed()
    assert len({first.access_token, second.access_token, third.access_token}) == 3
    forms = [entry["form"] for entry in upstream.requests("/token")[1:]]
    assert [form["device_id"] for form in forms] == ["device-1"] * 2
    assert all(form["refresh_token"].startswith("rt-") for form in forms)
    assert len({form["state"] for form in forms} - {authorized["state"]}) == 2


def test_vk_keeps_its_refresh_token_with_the_device(upstream, sign_in):
    """RFC 6749 §6: without a new refresh token the old one stays."""
    first = sign_in(at(upstream, "vk"), **VK, keep_refresh_token=True)
    assert renewed().refresh_token == first.refresh_token
    assert renewed().access_token != first.access_token
    assert upstream.requests("/token")[-1]["form"]["device_id"] == "device-1"


def test_an_answer_that_spends_the_refresh_token_keeps_the_new_one_with_the_device(upstream, sign_in):
    sign_in(at(upstream, "vk"), **VK)
    upstream.control(token={"access_token": None})
    with pytest.raises(RefreshTransient):
        renewed()
    upstream.control(token={})
    assert renewed().access_token.startswith("at-")
    assert upstream.requests("/token")[-1]["form"]["device_id"] == "device-1"


def test_vk_without_a_device_is_asked_without_one(upstream, sign_in):
    sign_in(at(upstream, "vk"), **VK | {"callback": {}})
    assert renewed().access_token.startswith("at-")
    assert not any("device_id" in entry["form"] for entry in upstream.requests("/token"))


def test_a_revocation_names_the_refresh_token_alone(upstream, sign_in):
    """RFC 7009 §2.1."""
    config = at(upstream, "vk", revocation_endpoint=f"{upstream.issuer}/revoke")
    get_provider("acme").revoke(sign_in(config, **VK))
    assert upstream.requests("/revoke")[0]["form"]["token"].startswith("rt-")


def test_notion_names_the_person_in_the_token_answer(upstream, sign_in):
    owner = {"type": "user", "user": {"id": "n-1", "name": "Ada", "person": {"email": "ada@notion.example"}}}
    first = sign_in(at(upstream, "notion"), token={"workspace_id": "w-1", "owner": owner})
    person = ProviderIdentity.objects.get()
    assert (first.subject, person.subject, person.name) == ("n-1:w-1", "n-1:w-1", "Ada")
    assert upstream.requests("/user") == []
    assert "scope" not in upstream.requests("/authorize")[0]["query"]
    assert upstream.requests("/authorize")[0]["query"]["owner"] == "user"
    assert renewed().access_token != first.access_token
    for request, grant in zip(
        upstream.requests("/token"), ("authorization_code", "refresh_token"), strict=True
    ):
        assert request["headers"]["content-type"] == "application/json"
        assert request["headers"]["notion-version"] == "2022-06-28"
        assert request["form"]["grant_type"] == grant
        assert "client_secret" not in request["form"]


def test_a_token_answer_without_a_person_signs_nobody_in(upstream, fails):
    fails(at(upstream, "notion"), token={"workspace_id": "w-1", "owner": {"type": "workspace"}})
    assert upstream.requests("/user") == []


def test_line_signs_with_the_channel_secret(upstream, sign_in):
    first = sign_in(at(upstream, "line", issuer=upstream.issuer), algorithm="HS256", keep_refresh_token=True)
    assert (first.subject, jwt.get_unverified_header(first.id_token)["alg"]) == ("person-1", "HS256")
    assert "client_secret" in upstream.requests("/token")[0]["form"]
    assert ProviderIdentity.objects.get().email_verified is False
    assert renewed().refresh_token == first.refresh_token


def test_a_token_that_is_signed_with_another_secret_signs_nobody_in(upstream, fails):
    line = at(upstream, "line", issuer=upstream.issuer)
    fails(line, algorithm="HS256", hmac_secret="of-somebody-else-" + "x" * 32)
    fails({**line, "algorithms": ["ES256"]}, algorithm="HS256", hmac_secret=upstream.client_secret)


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
    entry = upstream.config(**APPLE)
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": entry, "twin": entry})
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
    answer = post_back(action.replace("acme", "twin"), fields)
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
