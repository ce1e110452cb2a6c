"""A refresh: when the server is asked, what is kept, and which error says what (RFC 6749 §6)."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from django_lazyauth.client import (
    Account,
    Provider,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
    refresh_access_token,
)
from django_lazyauth.client.files import refreshing
from tests.client.conftest import tokens


def test_a_token_that_is_good_for_longer_is_returned_without_a_request(store, keyring, account, server):
    store.save("ada", account, tokens(expires_at=time.time() + 61))
    keyring.calls.clear()
    assert refresh_access_token(store, account="ada").access_token == "access-0"
    assert (server.forms, keyring.calls) == ([], ["get ada"])


def test_within_the_skew_it_is_refreshed_and_the_new_one_is_kept(signed_in, provider, server):
    before = time.time()
    bundle = refresh_access_token(signed_in, provider)
    assert server.forms == [
        {"grant_type": "refresh_token", "refresh_token": "refresh-0", "client_id": "tool"}
    ]
    assert (bundle.access_token, bundle.refresh_token) == ("access-1", "refresh-1")
    assert before + 3600 <= bundle.expires_at <= time.time() + 3600
    assert signed_in.load("ada") == bundle


def test_an_unknown_end_is_refreshed_by_force_only(store, account, provider, server):
    store.save("ada", account, tokens())
    assert refresh_access_token(store, provider, account="ada").access_token == "access-0"
    assert refresh_access_token(store, provider, account="ada", force=True).access_token == "access-1"
    assert len(server.forms) == 1


def test_the_default_account_stays_what_it_is(signed_in, account, provider):
    signed_in.save("bob", account, tokens("bob", expires_at=1.0))
    refresh_access_token(signed_in, provider, account="bob")
    assert signed_in.current() == "ada"


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ({"refresh_token": "new"}, ("new", None)),
        ({"refresh_token": "new", "refresh_token_expires_in": "0"}, ("new", 0)),
        ({}, ("refresh-0", 50.0)),
        ({"refresh_token_expires_in": 9}, ("refresh-0", 50.0)),
        ({"refresh_token": ""}, ("refresh-0", 50.0)),
    ],
)
def test_a_new_refresh_token_has_its_own_end_and_an_old_one_keeps_it(
    store, account, provider, server, answer, kept
):
    store.save("ada", account, tokens(expires_at=1.0, refresh_expires_at=50.0))
    server.answer = lambda _: (200, {"access_token": "new", **answer})
    asked_at = time.time()
    bundle = refresh_access_token(store, provider, account="ada")
    token, end = kept
    assert bundle.refresh_token == token
    assert bundle.refresh_expires_at == (end if end != 0 else pytest.approx(asked_at, abs=5))
    assert bundle.expires_at is None


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        ((400, {"error": "invalid_grant"}), RefreshExpired, "invalid_grant"),
        ((401, {"error": "invalid_client"}), RefreshTransient, "invalid_client"),
        ((503, {"error": "temporarily_unavailable"}), RefreshTransient, "temporarily_unavailable"),
        ((500, {"error": "invalid_grant"}), RefreshTransient, "invalid_grant"),
        ((500, "<html>"), RefreshTransient, "http_500"),
        ((429, {}), RefreshTransient, "http_429"),
        ((200, "<html>Sign in to this hotel's network"), RefreshTransient, "not_json"),
        ((200, {"error": "nothing"}), RefreshTransient, "no_access_token"),
        ((200, {"access_token": "with space"}), RefreshTransient, "no_access_token"),
        ((200, {"access_token": "a", "token_type": "DPoP"}), RefreshTransient, "no_access_token"),
        ((400, {"error": "refresh-0 is\nno code"}), RefreshTransient, "http_400"),
        ((302, {}), RefreshTransient, "http_302"),
        ((0, None), RefreshTransient, "network"),
    ],
)
def test_without_tokens_in_the_answer_nothing_is_written(signed_in, provider, server, answer, error, reason):
    before = signed_in.load("ada"), signed_in.path("ada").read_bytes()
    server.answer = lambda _: answer
    with pytest.raises(error) as raised:
        refresh_access_token(signed_in, provider)
    assert raised.value.reason == reason
    assert "refresh-0" not in f"{raised.value} {raised.value.__cause__}"
    assert (signed_in.load("ada"), signed_in.path("ada").read_bytes()) == before
    assert len(server.forms) == 1


def test_nothing_to_refresh_with_has_a_reason_each(store, keyring, account, provider, server):
    def reason_for(**arguments):
        with pytest.raises(RefreshUnavailable) as raised:
            refresh_access_token(
                store, **{"provider": provider, "account": "ada", "force": True, **arguments}
            )
        return raised.value.reason

    assert reason_for() == "not_signed_in"
    assert reason_for(account=None) == "not_signed_in"
    store.save("ada", account, tokens(refresh_token=None))
    assert reason_for() == "no_refresh_token"
    store.save("ada", account, tokens())
    other = Provider(Account("https://evil.example", "tool", f"{server.url}/token"))
    assert reason_for(provider=other) == "other_provider"
    assert reason_for(provider=Provider(Account(account.issuer, "tool"))) == "unable_provider"
    keyring.slots.clear()
    assert reason_for() == "not_signed_in"
    assert server.forms == []


def test_a_caller_by_force_gets_what_another_got_meanwhile(signed_in, account, provider, server):
    """The other one holds the lock, writes, and lets go."""
    done = tokens("other", expires_at=time.time() + 999)
    found = []
    with refreshing(signed_in.lock_path("ada")) as is_first:
        assert is_first
        caller = Thread(target=lambda: found.append(refresh_access_token(signed_in, provider, force=True)))
        caller.start()
        time.sleep(0.3)
        signed_in.save("ada", account, done)
    caller.join()
    assert found == [done]
    assert server.forms == []


def test_a_caller_who_waited_in_vain_posts_nothing(signed_in, provider, server):
    raised = []

    def call():
        try:
            refresh_access_token(signed_in, provider)
        except RefreshTransient as error:
            raised.append(error.reason)

    with refreshing(signed_in.lock_path("ada")):
        caller = Thread(target=call)
        caller.start()
        time.sleep(0.3)
    caller.join()
    assert raised == ["busy"]
    assert server.forms == []


def test_a_sign_out_during_the_request_stands(signed_in, provider, server, keyring):
    def answer(number):
        signed_in.remove("ada")
        return 200, {"access_token": "new", "refresh_token": "new"}

    server.answer = answer
    with pytest.raises(RefreshUnavailable):
        refresh_access_token(signed_in, provider)
    assert keyring.slots == {}


def test_a_sign_in_during_the_request_stands(signed_in, account, provider, server):
    def answer(number):
        signed_in.save("ada", account, tokens("signed in anew"))
        return 200, {"access_token": "late", "refresh_token": "late"}

    server.answer = answer
    assert refresh_access_token(signed_in, provider) == tokens("signed in anew")
    assert signed_in.load("ada") == tokens("signed in anew")


def test_a_secret_goes_in_the_header_encoded(signed_in, account, server):
    """RFC 6749 §2.3.1."""
    confidential = Provider(account, client_secret="a:b c")
    assert "a:b c" not in repr(confidential)
    refresh_access_token(signed_in, confidential)
    assert server.headers[0]["Authorization"] == "Basic dG9vbDphJTNBYiUyMGM="
    assert "client_id" not in server.forms[0]


def test_a_token_never_goes_over_http_to_another_machine(store):
    far = Account("http://auth.example", "tool", "http://auth.example/token")
    store.save("ada", far, tokens(expires_at=1.0))
    with pytest.raises(RefreshTransient) as raised:
        refresh_access_token(store, account="ada")
    assert raised.value.reason == "insecure_url"
