"""Providers that differ from the RFCs, each as keys of its entry: through our pages to the vault, and a refresh.

A provider process answers as the real one does. Nobody signs in at the real one.
"""

from __future__ import annotations

import pytest

from django_lazyauth.models import UpstreamToken
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import store

from .conftest import sign_in_upstream

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
    )
    first = sign_in(config, client_names=["appid", "secret"], token={"token_type": None})
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


def test_linkedin_has_neither_pkce_nor_a_nonce(upstream, sign_in):
    config = upstream.config(pkce="none", nonce="none", token_endpoint_auth_method="client_secret_post")
    bundle = sign_in(config)
    asked = upstream.requests("/authorize")[0]["query"]
    assert not {"nonce", "code_challenge", "code_challenge_method"} & set(asked)
    assert (bundle.subject, bool(bundle.id_token)) == ("person-1", True)
