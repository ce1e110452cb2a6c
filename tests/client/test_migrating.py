"""The one slot of earlier releases becomes an account: each failure leaves the token in one place at least."""

from __future__ import annotations

import pytest

from django_lazyauth.client import Bundle, RefreshUnavailable, migrate_single_slot, refresh_access_token
from tests.client.conftest import ACCOUNT, tokens


def migrate(store, name="ada@example.org"):
    return migrate_single_slot(store, name=name, account=ACCOUNT).reason


def test_the_token_moves_once_and_its_account_becomes_the_default(store, keyring):
    keyring.slots["token"] = "old-secret"
    assert (migrate(store), migrate(store)) == ("moved", "nothing")
    assert store.load("ada@example.org") == Bundle("old-secret")
    assert keyring.slots == {"ada@example.org": "old-secret"}
    assert store.current() == "ada@example.org"
    assert "old-secret" not in store.path("ada@example.org").read_text()


def test_a_default_stays_and_an_account_with_tokens_keeps_them(store, keyring):
    store.save("bob", ACCOUNT, tokens())
    store.use("bob")
    keyring.slots["token"] = "old-secret"
    assert migrate(store, "bob") == "existing"
    assert store.load("bob") == tokens()
    assert "token" not in keyring.slots
    keyring.slots["token"] = "old-secret"
    assert migrate(store) == "moved"
    assert store.current() == "bob"


@pytest.mark.parametrize("is_broken", [True, False], ids=["record", "slot"])
def test_the_slot_stays_where_what_the_account_has_cannot_be_read(store, keyring, is_broken):
    store.save("bob", ACCOUNT, tokens())
    if is_broken:
        store.path("bob").write_text("{")
    else:
        del keyring.slots["bob"]
    keyring.slots["token"] = "old-secret"
    assert migrate(store, "bob") == "unreadable"
    assert keyring.slots["token"] == "old-secret"


def test_whichever_call_of_the_keyring_fails_the_token_stays_and_no_file_keeps_a_copy(store, keyring):
    for number in range(10):
        keyring.slots = {"token": "old-secret"}
        keyring.fail_from_now(number)
        reason = migrate(store)
        if len(keyring.calls) <= number:
            break
        assert reason == "unavailable"
        assert "old-secret" in keyring.slots.values()
        assert not [path for path in store.directory.rglob("*.json") if "old-secret" in path.read_text()]
        keyring.fail_from_now()
        migrate(store)
        assert keyring.slots == {"ada@example.org": "old-secret"}
        store.remove("ada@example.org")
    assert number >= 3


def test_an_account_by_the_name_of_the_slot_keeps_its_token(store, keyring):
    keyring.slots["token"] = "old-secret"
    assert migrate(store, "token") == "moved"
    assert store.load("token") == Bundle("old-secret")


def test_what_is_told_holds_neither_token_nor_address(store, keyring, capsys, warnings_told):
    keyring.slots["token"] = "old-secret"
    shown = repr(migrate_single_slot(store, name="ada@example.org", account=ACCOUNT))
    printed = capsys.readouterr()
    assert shown == "Migration(reason='moved')"
    assert (printed.out, printed.err, warnings_told) == ("", "", [])


def test_a_refresh_token_of_which_nothing_is_known_is_looked_for_once(store, keyring):
    keyring.slots["token"] = "old-secret"
    migrate(store)
    assert store.record("ada@example.org").has_refresh_token == "unknown"
    with pytest.raises(RefreshUnavailable) as raised:
        refresh_access_token(store, force=True)
    assert raised.value.reason == "no_refresh_token"
    keyring.calls.clear()
    store.load("ada@example.org")
    assert keyring.calls == ["get ada@example.org"]
