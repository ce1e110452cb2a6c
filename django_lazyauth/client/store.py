"""Where a client keeps the tokens of its accounts: secrets in the keyring, the rest in a file an account."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from platformdirs import user_data_path

from .bundle import Bundle
from .errors import RefreshUnavailable, StoreUnavailable
from .files import exclusive, read_document, remove_document, write_document
from .record import Account, Record
from .slots import Keyring, Slots

#: Set to 1, it allows tokens in a file where there is no keyring.
PLAINTEXT_VARIABLE: Final = "LAZYAUTH_PLAINTEXT"
#: Characters of an account's file name.
_NAME_LIMIT: Final = 180


class Store:
    """The accounts of one application, and which of them is the default.

    Args:
        directory: Of the files; by default the user's data directory of this system.
        service: Name of the application in the keyring, and of its directory.
        backend: Of the package ``keyring``; by default the one of this machine.
        plaintext: Allow tokens in a file of mode 0600 where the keyring is away. By default
            ``LAZYAUTH_PLAINTEXT=1`` allows it.
        warn: Called with a sentence when that happens. By default it goes to standard error.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        service: str = "lazyauth",
        backend: Keyring | None = None,
        plaintext: bool | None = None,
        warn: Callable[[str], object] | None = None,
    ) -> None:
        self.directory = directory or user_data_path(service, appauthor=False)
        self.service = service
        self.slots = Slots(service, backend)
        self.plaintext = os.environ.get(PLAINTEXT_VARIABLE) == "1" if plaintext is None else plaintext
        self._warn = warn or (lambda text: sys.stderr.write(text + "\n"))

    # -- which accounts there are --------------------------------------------------------------------------

    def accounts(self) -> list[str]:
        """Return the names of all accounts whose record can be read."""
        names = []
        for path in sorted(self._accounts.glob("*.json")):
            try:
                names.append(Record.from_document(read_document(path) or {}).name)
            except StoreUnavailable:
                self._warn(f"{path} cannot be read.")
        return names

    def current(self) -> str | None:
        """Return the name of the default account."""
        name = (read_document(self._default) or {}).get("account")
        return name if isinstance(name, str) and self.record(name) is not None else None

    def use(self, name: str) -> None:
        """Make *name* the default account.

        Raises:
            RefreshUnavailable: Nobody is signed in by that name.
        """
        self.named(name)
        write_document(self._default, {"account": name})

    def named(self, name: str | None) -> Record:
        """Return the record of *name*, or of the default account.

        Raises:
            RefreshUnavailable: There is none.
        """
        chosen = name if name is not None else self.current()
        record = self.record(chosen) if chosen is not None else None
        if record is None:
            raise RefreshUnavailable("Nobody is signed in.", reason="not_signed_in")
        return record

    def record(self, name: str) -> Record | None:
        document = read_document(self.path(name))
        return None if document is None else Record.from_document(document)

    # -- tokens -------------------------------------------------------------------------------------------------

    def load(self, name: str, *, with_refresh_token: bool = True) -> Bundle | None:
        """Return the tokens of *name*, or ``None``. The keyring is asked for no more than is wanted and there."""
        record = self.record(name)
        if record is None or record.storage != "keyring":
            return None if record is None else record.bundle(record.tokens)
        tokens = {"access_token": self.slots.get(name)}
        if with_refresh_token and record.has_refresh_token != "no":
            tokens["refresh_token"] = self.slots.get(_refresh_slot(name))
        if record.is_bound:
            tokens["proof_key"] = self.slots.get(_key_slot(name))
        return record.bundle(tokens)

    def require_place(self) -> None:
        """Find out before anybody signs in that tokens could not be kept.

        Raises:
            StoreUnavailable: There is no keyring, and no file was ever allowed.
        """
        if not self.slots.are_there() and not self.plaintext and "file" not in self._storages():
            raise StoreUnavailable(
                f"This machine has no keyring. {PLAINTEXT_VARIABLE}=1 keeps tokens in a file that only you can read.",
                reason="no_keyring",
            )

    def save(self, name: str, account: Account, bundle: Bundle) -> None:
        """Keep *bundle* as the tokens of *name*. It is kept as a whole, or what was there stays.

        Raises:
            StoreUnavailable: It cannot be kept: there is no keyring, and no file is allowed.
        """
        with self.writing(name):
            self._save(name, account, bundle)

    def replace(self, name: str, old: Bundle, new: Bundle) -> bool:
        """Keep *new* if *old* is still what is kept. Otherwise somebody signed in, out, or refreshed meanwhile."""
        with self.writing(name):
            record, kept = self.record(name), self.load(name)
            if record is None or kept is None or kept.rotating != old.rotating:
                return False
            self._save(name, record.account, new)
        return True

    def note_missing_refresh_token(self, name: str) -> None:
        """Remember that the keyring holds no refresh token of *name*, so that it is not asked again."""
        with self.writing(name):
            record = self.record(name)
            if record is not None and record.has_refresh_token == "unknown":
                self.write(replace(record, has_refresh_token="no"))

    def remove(self, name: str) -> None:
        """Forget *name*: both slots, the record, and that it was the default.

        Raises:
            StoreUnavailable: Something is left. The record stays, so that it can be tried again.
        """
        with self.writing(name):
            record = self._record_or_none(name)
            if record is None or record.storage != "file":
                for slot in (_refresh_slot(name), name, _key_slot(name)):
                    self.slots.put(slot, None)
            remove_document(self.path(name))
            if (read_document(self._default) or {}).get("account") == name:
                remove_document(self._default)

    # -- for a migration --------------------------------------------------------------------------------------

    def write(self, record: Record, *, replace: bool = True) -> bool:
        """Write *record*; with ``replace=False`` only where there is none. Say whether it was written."""
        return write_document(self.path(record.name), record.to_document(), replace=replace)

    def writing(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which this process is the only one that writes *name*."""
        return exclusive(self.path(name).with_suffix(".lock"))

    def lock_path(self, name: str) -> Path:
        """Return the file that is locked while somebody refreshes *name*."""
        return self.path(name).with_suffix(".refresh")

    def path(self, name: str) -> Path:
        """Return the file of *name*.

        Raises:
            StoreUnavailable: No account can have that name: a slash separates it from the names of its slots.
        """
        quoted = quote(name, safe="@")
        if not name or "/" in name or not name.isprintable() or len(quoted) > _NAME_LIMIT:
            raise StoreUnavailable("That cannot be the name of an account.", reason="bad_name")
        return self._accounts / f"{quoted}.json"

    def become_default(self, name: str) -> None:
        """Make *name* the default where there is none."""
        if self.current() is None:
            write_document(self._default, {"account": name})

    @property
    def _accounts(self) -> Path:
        return self.directory / "accounts"

    @property
    def _default(self) -> Path:
        return self.directory / "default.json"

    # -- writing ------------------------------------------------------------------------------------------------

    def _storages(self) -> set[str]:
        return {record.storage for name in self.accounts() if (record := self.record(name)) is not None}

    def _record_or_none(self, name: str) -> Record | None:
        """Return the record, unless it cannot be read: a new sign-in replaces it."""
        try:
            return self.record(name)
        except StoreUnavailable as error:
            if error.reason != "unreadable":
                raise
            return None

    def _save(self, name: str, account: Account, bundle: Bundle) -> None:
        old = self._record_or_none(name)
        try:
            self._save_in_keyring(name, account, bundle, old)
        except StoreUnavailable as error:
            # Who allowed a file once does not lose a refreshed token for want of the option.
            is_allowed = self.plaintext or (old is not None and old.storage == "file")
            if error.reason not in ("keyring", "no_keyring") or not is_allowed:
                raise
            self._warn(f"{error} Tokens are kept in {self.path(name)}, which only you can read.")
            self.write(Record.of(name, account, bundle, "file"))
            if old is not None and old.storage == "keyring":
                self.slots.restore({_refresh_slot(name): None, name: None, _key_slot(name): None})

    def _save_in_keyring(self, name: str, account: Account, bundle: Bundle, old: Record | None) -> None:
        """Write the refresh token first: it is the one that cannot be had again. The record comes last.

        Killed in between, a record of another server or client must not stand beside these tokens: they would go there.
        """
        slots = (_refresh_slot(name), name)
        before = {slot: self.slots.get(slot) for slot in slots}
        key = bundle.proof_key.to_text() if bundle.proof_key is not None else None
        if key is not None or (old is not None and old.is_bound):
            before[_key_slot(name)] = self.slots.get(_key_slot(name))
        try:
            if old is not None and old.account != account:
                remove_document(self.path(name))
            if bundle.refresh_token is not None:
                self.slots.put(_refresh_slot(name), bundle.refresh_token)
            else:
                self._purge(name, old if old is not None and old.account == account else None)
            if _key_slot(name) in before:
                self.slots.put(_key_slot(name), key)
            self.slots.put(name, bundle.access_token)
            self.write(Record.of(name, account, bundle, "keyring"))
        except StoreUnavailable:
            self.slots.restore(before)
            if old is not None:
                self.write(old)
            raise

    def _purge(self, name: str, old: Record | None) -> None:
        """Empty the slot of the refresh token. It counts as empty from now on, even if the keyring refuses."""
        if old is not None and old.has_refresh_token != "no":
            self.write(replace(old, has_refresh_token="no"))
        self.slots.restore({_refresh_slot(name): None})


def _refresh_slot(name: str) -> str:
    return f"{name}/refresh"


def _key_slot(name: str) -> str:
    return f"{name}/key"
