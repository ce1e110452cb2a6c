"""What is prepared, done and looked at, where a process is killed at each step. Runs without Django."""

from __future__ import annotations

from pathlib import Path

from django_lazyauth.client import Account, Bundle, Store, migrate_single_slot
from tests.client.keyrings import DiskKeyring

ACCOUNT = Account("https://auth.example", "tool", "https://auth.example/token")
OTHER = Account("https://other.example", "tool", "https://other.example/token")
OLD = Bundle("access-0", "refresh-0", expires_at=5.0)
NEW = Bundle("access-1", "refresh-1", expires_at=9.0)


def store_in(directory: Path) -> Store:
    return Store(directory / "lazyauth", backend=DiskKeyring(directory / "keyring"), plaintext=False)


def prepare(place: Path) -> None:
    store_in(place).save("ada", ACCOUNT, OLD)


def saving(account: Account, bundle: Bundle):
    return lambda place: store_in(place).save("ada", account, bundle)


def look_after_rotation(place: Path) -> str | None:
    """What cannot be had again is never lost: the refresh token is the old or the new one, with an access token."""
    store = store_in(place)
    kept = store.load("ada")
    if kept is None or {kept.access_token, kept.refresh_token} - {
        "access-0",
        "access-1",
        "refresh-0",
        "refresh-1",
    }:
        return f"lost: {kept}"
    store.save("ada", ACCOUNT, NEW)
    return None if store.load("ada") == NEW else "cannot be saved again"


def look_without_refresh_token(place: Path) -> str | None:
    """The new access token never stands beside the old refresh token."""
    kept = store_in(place).load("ada")
    if kept is None or (kept.access_token == "access-1" and kept.refresh_token is not None):
        return f"an old refresh token came back: {kept}"
    return None


def look_at_other_server(place: Path) -> str | None:
    """No token stands in the record of a server that did not give it."""
    store = store_in(place)
    record, kept = store.record("ada"), store.load("ada")
    if record is None or kept is None:
        return None
    number = "0" if record.account == ACCOUNT else "1"
    is_whole = kept.access_token.endswith(number) and kept.refresh_token == f"refresh-{number}"
    return None if is_whole else "mixed"


def prepare_migration(place: Path) -> None:
    DiskKeyring(place / "keyring").set_password("lazyauth", "token", "old")


def migrate(place: Path) -> str:
    return migrate_single_slot(store_in(place), name="ada", account=ACCOUNT).reason


def look_after_migration(place: Path) -> str | None:
    """The next start ends it: the token is in the account's slot, and nowhere else."""
    reason = migrate(place)
    store, keyring = store_in(place), DiskKeyring(place / "keyring")
    record = store.record("ada")
    if store.load("ada") != Bundle("old") or record is None or record.storage != "keyring":
        return f"not moved: {reason}"
    is_left = keyring.get_password("lazyauth", "token") is not None
    if is_left or store.current() != "ada" or "old" in store.path("ada").read_text():
        return f"not finished: {reason}"
    return None


STEPS = {
    "killed-migration": (prepare_migration, migrate, look_after_migration),
    "killed-rotation": (prepare, saving(ACCOUNT, NEW), look_after_rotation),
    "killed-without": (prepare, saving(ACCOUNT, Bundle("access-1")), look_without_refresh_token),
    "killed-other-server": (prepare, saving(OTHER, NEW), look_at_other_server),
}
