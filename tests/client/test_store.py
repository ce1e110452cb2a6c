"""What a client keeps, and what is left where something fails half-way."""

from __future__ import annotations

import json
import stat

import pytest

from django_lazyauth.client import Account, RefreshUnavailable, Store, StoreUnavailable
from django_lazyauth.client.proof import ProofKey
from tests.client.conftest import ACCOUNT, tokens

OTHER = Account("https://other.example", "tool", "https://other.example/token")


def files(store):
    return [path for path in store.directory.rglob("*") if path.is_file()]


def test_tokens_stand_in_two_slots_and_in_no_file(store, keyring):
    store.save("ada", ACCOUNT, tokens(expires_at=100.0))
    assert keyring.slots == {"ada": "access-0", "ada/refresh": "refresh-0"}
    assert store.load("ada") == tokens(expires_at=100.0)
    assert not [
        path for path in files(store) if b"access-0" in path.read_bytes() or b"refresh-0" in path.read_bytes()
    ]


def test_files_are_their_owners_only(store):
    store.save("ada", ACCOUNT, tokens())
    store.use("ada")
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(store)} == {0o600}
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700


def test_several_accounts_and_one_default(store):
    for name in ("ada", "bob@example.org"):
        store.save(name, ACCOUNT, tokens(name))
    store.use("bob@example.org")
    assert store.accounts() == ["ada", "bob@example.org"]
    assert store.named(None).name == "bob@example.org"
    store.remove("bob@example.org")
    assert (store.accounts(), store.current()) == (["ada"], None)
    with pytest.raises(RefreshUnavailable):
        store.use("bob@example.org")


@pytest.mark.parametrize("name", ["", "ada/refresh", "a\nb", "x" * 200, "\N{SNOWMAN}" * 30])
def test_a_name_that_could_be_anothers_slot_or_no_file_is_refused(store, name):
    with pytest.raises(StoreUnavailable) as refused:
        store.save(name, ACCOUNT, tokens())
    assert refused.value.reason == "bad_name"


def test_without_a_refresh_token_the_keyring_is_not_asked_for_one(store, keyring):
    store.save("ada", ACCOUNT, tokens(refresh_token=None))
    keyring.calls.clear()
    assert store.load("ada").refresh_token is None
    assert keyring.calls == ["get ada"]


def test_a_new_bundle_without_refresh_token_empties_the_slot(store, keyring):
    store.save("ada", ACCOUNT, tokens())
    store.save("ada", ACCOUNT, tokens("1", refresh_token=None))
    assert keyring.slots == {"ada": "access-1"}


def test_a_refresh_token_that_could_not_be_removed_never_comes_back(store, keyring, monkeypatch):
    store.save("ada", ACCOUNT, tokens())
    monkeypatch.setattr(keyring, "delete_password", lambda *_: (_ for _ in ()).throw(OSError("locked")))
    store.save("ada", ACCOUNT, tokens("1", refresh_token=None))
    assert keyring.slots["ada/refresh"] == "refresh-0"
    assert store.load("ada") == tokens("1", refresh_token=None)


@pytest.mark.parametrize("new", [tokens("1"), tokens("1", refresh_token=None)], ids=["rotated", "none"])
@pytest.mark.parametrize("account", [ACCOUNT, OTHER], ids=["same server", "other server"])
def test_whichever_call_of_the_keyring_fails_old_or_new_is_kept_as_a_whole(store, keyring, account, new):
    """The old bundle without its refresh token is what is left where the purge itself fails last."""
    old = tokens(expires_at=5.0)
    for number in range(20):
        store.save("ada", ACCOUNT, old)
        keyring.fail_from_now(number)
        try:
            store.save("ada", account, new)
        except StoreUnavailable:
            keyring.fail_from_now()
            assert (store.load("ada"), store.record("ada").account) == (old, ACCOUNT)
        else:
            called = len(keyring.calls)
            keyring.fail_from_now()
            assert (store.load("ada"), store.record("ada").account) == (new, account)
            if number >= called:
                break
    else:
        pytest.fail("The keyring is asked more than twenty times.")
    assert number >= 4


def test_a_key_stands_in_a_slot_of_its_own_and_leaves_with_the_account(store, keyring):
    key = ProofKey.generate()
    store.save("ada", ACCOUNT, tokens(proof_key=key, token_type="DPoP"))
    kept = store.load("ada")
    assert kept.proof_key.to_text() == key.to_text()
    assert set(keyring.slots) == {"ada", "ada/refresh", "ada/key"}
    store.remove("ada")
    assert keyring.slots == {}
    assert store.load("ada") is None


def test_without_a_keyring_nothing_is_written_to_a_file_unasked(store, keyring):
    keyring.is_away = True
    with pytest.raises(StoreUnavailable) as refused:
        store.save("ada", ACCOUNT, tokens())
    assert refused.value.reason == "keyring"
    assert store.accounts() == []


def test_where_it_is_allowed_both_tokens_go_into_one_file_with_a_warning(store, keyring, warnings_told):
    store.save("ada", ACCOUNT, tokens())
    store.plaintext = True
    keyring.is_away = True
    store.save("ada", ACCOUNT, tokens("1"))
    assert store.load("ada") == tokens("1")
    assert len(warnings_told) == 1
    assert "access-" not in warnings_told[0]
    assert "refresh-" not in warnings_told[0]
    store.plaintext = False
    store.save("ada", ACCOUNT, tokens("2"))  # As a refresh does, from a process without the option.
    assert store.load("ada") == tokens("2")
    keyring.is_away = False
    store.save("ada", ACCOUNT, tokens("3"))
    assert store.load("ada") == tokens("3")
    assert "access" not in store.path("ada").read_text().replace("access_token", "")


def test_files_that_cannot_be_written_are_an_error_of_the_store(tmp_path, keyring):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable) as refused:
        Store(tmp_path / "file", backend=keyring).save("ada", ACCOUNT, tokens())
    assert refused.value.reason == "unwritable"
    assert keyring.slots == {}


def test_the_warning_goes_to_standard_error_and_a_variable_allows_it(tmp_path, keyring, monkeypatch, capsys):
    monkeypatch.setenv("LAZYAUTH_PLAINTEXT", "1")
    keyring.is_away = True
    Store(tmp_path, backend=keyring).save("ada", ACCOUNT, tokens())
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_removing_while_the_keyring_is_away_can_be_tried_again(store, keyring):
    store.save("ada", ACCOUNT, tokens())
    keyring.fail_from_now(1)
    with pytest.raises(StoreUnavailable):
        store.remove("ada")
    keyring.fail_from_now()
    store.remove("ada")
    assert keyring.slots == {}
    assert store.accounts() == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', "\udce9"])
def test_a_record_that_cannot_be_read_is_an_error_and_a_new_sign_in_replaces_it(store, text):
    store.save("ada", ACCOUNT, tokens())
    store.path("ada").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(StoreUnavailable) as refused:
        store.load("ada")
    assert refused.value.reason == "unreadable"
    store.save("ada", ACCOUNT, tokens("1"))
    assert store.load("ada") == tokens("1")


def test_a_record_with_an_end_that_is_no_number_is_not_read(store):
    store.save("ada", ACCOUNT, tokens())
    record = json.loads(store.path("ada").read_text())
    store.path("ada").write_text(json.dumps({**record, "expires_at": "soon"}))
    with pytest.raises(StoreUnavailable):
        store.record("ada")


def test_no_secret_is_in_what_is_printed_of_these_objects(store):
    store.plaintext = True
    key = ProofKey.generate()
    bundle = tokens("secret", proof_key=key)
    store.save("ada", ACCOUNT, bundle)
    shown = repr([bundle, store.record("ada"), key, store, store.slots])
    assert "secret" not in shown.replace("refresh_token", "")
