"""How the answers of an upstream are read."""

from __future__ import annotations

import pytest

from django_lazyauth.errors import ProviderDenied, ProviderUnavailable, RefreshExpired, RefreshTransient
from django_lazyauth.openid.descriptor import descriptor_from_settings
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.providers.token_answers import error_of, without_tokens
from tests.support.legs import bundle_of, leg

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("answered", "kept"),
    [
        ("read,write", "read write"),
        ("read, write", "read write"),
        ("read write", "read write"),
        (["read", "write"], "read write"),
        (["read", 7], "openid profile email"),
        ([], "openid profile email"),
        ({}, "openid profile email"),
        ("x" * 5000, "openid profile email"),
    ],
)
def test_a_scope_is_a_text_or_a_list(upstream, pending, answered, kept):
    """RFC 6749 §3.3."""
    assert leg(upstream, pending, token={"scope": answered}).commit["scope"] == kept


@pytest.mark.parametrize("token_type", ["DPoP", "mac", 7, ["Bearer"]])
def test_a_token_of_another_type_is_refused(acme, upstream, pending, token_type):
    """RFC 6749 §7.1."""
    acme(token_response={"token_type": "kind"})
    leg(upstream, pending, token={"token_type": "other"})
    with pytest.raises(ProviderUnavailable, match="bad_answer"):
        leg(upstream, pending, token={"kind": token_type})


def test_a_member_with_a_path_is_read_there_only(acme, upstream, pending):
    acme(token_response={"access_token": "authed_user.access_token"})
    with pytest.raises(ProviderUnavailable, match="bad_answer"):
        leg(upstream, pending)


@pytest.mark.parametrize(
    ("value", "is_error"),
    [
        (None, False),
        (False, False),
        ("", False),
        ([], False),
        ("ok", False),
        (0, False),
        ("0", True),
        (True, True),
        (1, True),
        ("invalid", True),
        ([{"message": "no"}], True),
        ({"code": "no"}, True),
    ],
)
def test_an_answer_failed_unless_it_says_so_in_a_word_for_success(value, is_error):
    config = {"issuer": "https://id.example", "client_id": "us", "answer_ok": ["ok", 0]}
    requests = descriptor_from_settings("acme", config).requests
    found = error_of({"error": value}, requests.answer_error["token"], requests)
    assert (found is not None) is is_error


def test_the_rest_of_an_answer_holds_no_token_at_any_depth():
    """I13."""
    config = {
        "issuer": "https://id.example",
        "client_id": "us",
        "token_response": {"access_token": "a.secret"},
    }
    requests = descriptor_from_settings("acme", config).requests
    answer = {
        "team": {"id": "T1"},
        "access_token": "hidden",
        "a": {"secret": "hidden", "id": 1},
        "b": [{"refresh_token": "hidden", "id": 2}],
    }
    rest = without_tokens(answer, requests)
    assert rest == {"team": {"id": "T1"}, "a": {"id": 1}, "b": [{"id": 2}]}


@pytest.mark.parametrize(
    ("word", "kind"),
    [("token_revoked", RefreshExpired), ("slow_down", RefreshTransient), (7, RefreshTransient)],
)
def test_a_provider_may_have_further_words_for_a_dead_refresh_token(acme, upstream, pending, word, kind):
    acme(refused_grants=["token_revoked"])
    commit = leg(upstream, pending).commit
    upstream.control(token_answers=[{"status": 400, "body": {"error": word}}])
    with pytest.raises(kind):
        get_provider("acme").refresh(bundle_of(commit))


def test_a_provider_may_have_further_words_for_cancelled(acme, upstream, pending):
    acme(denials=["user_said_no"])
    with pytest.raises(ProviderDenied, match="cancelled"):
        leg(upstream, pending, authorize_error="user_said_no")
    acme()
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        leg(upstream, pending, authorize_error="user_said_no")
