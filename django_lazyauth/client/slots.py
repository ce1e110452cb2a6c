"""The slots of the operating system's keyring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import keyring
import keyring.backends.fail
import keyring.backends.null
from keyring.errors import PasswordDeleteError

from .errors import StoreUnavailable

#: Backends that keep nothing.
_NO_KEYRING: Final = (keyring.backends.fail.Keyring, keyring.backends.null.Keyring)


class Keyring(Protocol):
    """What is used of a backend of the package ``keyring``."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


class Slots:
    """Texts by name, in *backend* or in the keyring that this machine has.

    Each method raises StoreUnavailable where the keyring is away, locked or refuses.
    """

    def __init__(self, service: str, backend: Keyring | None = None) -> None:
        self.service = service
        self.backend = backend

    def are_there(self) -> bool:
        """Say whether there is a keyring. It may still be locked or refuse."""
        return not isinstance(self._backend(), _NO_KEYRING)

    def get(self, name: str) -> str | None:
        with _told("read"):
            return self._keyring().get_password(self.service, name)

    def put(self, name: str, text: str | None) -> None:
        """Write *text*; ``None`` empties the slot."""
        with _told("written"):
            if text is not None:
                self._keyring().set_password(self.service, name, text)
                return
            try:
                self._keyring().delete_password(self.service, name)
            except PasswordDeleteError:
                if self._keyring().get_password(self.service, name) is not None:
                    raise

    def restore(self, texts: Mapping[str, str | None]) -> None:
        """Write back what stood there, as far as the keyring lets us."""
        for name, text in texts.items():
            with suppress(StoreUnavailable):
                self.put(name, text)

    def _backend(self) -> Keyring:
        backend: Keyring = self.backend or keyring.get_keyring()
        return backend

    def _keyring(self) -> Keyring:
        if not self.are_there():
            raise StoreUnavailable("This machine has no keyring.", reason="no_keyring")
        return self._backend()


@contextmanager
def _told(verb: str) -> Iterator[None]:
    try:
        yield
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001  Backends raise what their libraries raise: D-Bus, ctypes, win32.
        message = f"The keyring cannot be {verb} ({type(error).__name__})."
        # The cause may show what was to be written.
        raise StoreUnavailable(message, reason="keyring") from None
