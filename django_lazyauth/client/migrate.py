"""From the one slot in which earlier releases kept one token, to a record for each account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from .bundle import Bundle
from .errors import StoreUnavailable
from .files import remove_document
from .record import Account, Record
from .slots import Slots
from .store import Store

#: Where earlier releases kept it.
SINGLE_SLOT: Final = "token"

Reason = Literal["moved", "resumed", "existing", "nothing", "unreadable", "unavailable"]


@dataclass(frozen=True, slots=True)
class Migration:
    """How it went.

    Attributes:
        reason: ``moved`` or ``resumed`` after a crash: the account has the token, and the slot is empty.
            ``existing``: the account had tokens, which stay; the slot is empty. ``nothing``: there was no token.
            ``unreadable``: what the account has cannot be read. ``unavailable``: keyring or files refuse. Then the
            slot stays.
    """

    reason: Reason

    @property
    def is_done(self) -> bool:
        return self.reason not in ("unreadable", "unavailable")


def migrate_single_slot(
    store: Store, *, name: str, account: Account, slot: str = SINGLE_SLOT, service: str | None = None
) -> Migration:
    """Move the token in *slot* to the account *name*, once. It can be called at each start.

    The record is written with the token inside, then the keyring, then the record without it. Killed in between, the
    next call goes on. What is there already is never replaced.

    Args:
        store: Where to.
        name: Of the account, which becomes the default where there is none.
        account: The server and the client that the token is of.
        slot: The user name of the old slot in the keyring.
        service: Its service; by default that of the store.
    """
    old = Slots(service or store.service, store.slots.backend)
    try:
        with store.writing(name):
            return Migration(_migrate(store, name, account, old, slot))
    except StoreUnavailable as error:
        return Migration("unreadable" if error.reason == "unreadable" else "unavailable")


def _migrate(store: Store, name: str, account: Account, old: Slots, slot: str) -> Reason:
    token = old.get(slot)
    record = store.record(name)
    reason: Reason = "moved"
    if record is not None and record.storage == "moving":
        reason = "resumed"
    elif token is None:
        return "nothing"
    elif record is not None:
        if store.load(name) is None:
            return "unreadable"
        reason = "existing"
    else:
        record = _insert(store, name, account, token)
    if record.storage == "moving":
        _finish(store, record, is_copy=token is not None)
    # The slot is emptied last: whoever is killed before begins again.
    store.become_default(name)
    if (old.service, slot) != (store.service, name):
        old.put(slot, None)
    return reason


def _insert(store: Store, name: str, account: Account, token: str) -> Record:
    """Write the record with the token inside. It says what is known of it, which is little."""
    record = replace(Record.of(name, account, Bundle(token), "moving"), has_refresh_token="unknown")
    store.write(record, replace=False)
    return record


def _finish(store: Store, record: Record, *, is_copy: bool) -> None:
    """Move the token from the record to the keyring. If the keyring refuses, no file keeps a copy of it."""
    try:
        store.slots.put(record.name, record.tokens["access_token"])
    except StoreUnavailable:
        if is_copy:
            remove_document(store.path(record.name))
        raise
    store.write(record.without_tokens())
