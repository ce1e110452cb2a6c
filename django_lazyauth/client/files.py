"""Files that only their owner can read, and locks between processes."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from .errors import StoreUnavailable

#: Seconds that one caller waits for the refresh of another.
WAIT_SECONDS: Final = 2.0
#: Seconds after which the holder of a lock is thought to hang. Its request ends before.
STALE_SECONDS: Final = 15.0
#: Seconds that a write waits for another write, which takes milliseconds.
WRITE_SECONDS: Final = 10.0
#: Seconds after which a file that nobody finished is removed.
_ABANDONED_SECONDS: Final = 60.0


def read_document(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in *path*, or ``None`` if there is no file.

    Raises:
        StoreUnavailable: There is one, and it holds something else.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict):
        # The cause would show what the file holds.
        raise StoreUnavailable(f"{path.name} cannot be read.", reason="unreadable") from None
    return document


def write_document(path: Path, document: Mapping[str, Any], *, replace: bool = True) -> bool:
    """Write *document*, all of it or nothing, with mode 0600. Say whether it was written.

    Args:
        path: Its directory is made with mode 0700.
        document: What JSON can hold.
        replace: ``False``: keep what stands there.

    Raises:
        StoreUnavailable: The file system refuses.
    """
    try:
        _make_private(path.parent)
        _remove_abandoned(path)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        try:
            _write(temporary, json.dumps(document).encode())
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise StoreUnavailable(f"{path.name} cannot be written.", reason="unwritable") from error
    return True


def remove_document(path: Path) -> None:
    """Remove *path*, if it is there.

    Raises:
        StoreUnavailable: The file system refuses.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"{path.name} cannot be removed.", reason="unwritable") from error


def _make_private(directory: Path) -> None:
    """Make *directory* and the missing ones above it with mode 0700, as the XDG specification has it."""
    for missing in reversed([directory, *directory.parents]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes left that were killed before they finished *path*: it may hold tokens."""
    for left in path.parent.iterdir():
        if left.name.startswith(f".{path.name}.") and left.suffix == ".new":
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                    left.unlink()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time write. A process that is killed gives its turn back.

    Raises:
        StoreUnavailable: Somebody else did not finish within 10 seconds.
    """
    lock = _lock(path)
    if not _acquire(lock, WRITE_SECONDS):
        raise StoreUnavailable("Another process is writing.", reason="busy")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def refreshing(path: Path) -> Iterator[bool]:
    """Give ``True`` to the one who may ask the server, and ``False`` to a caller who waited for another.

    Somebody who waited asks nobody: either the other has written what came, or it is too early to try again.
    """
    lock = _lock(path)
    is_first = _acquire(lock, 0)
    if not is_first:
        if _acquire(lock, WAIT_SECONDS):
            lock.release()
        else:
            is_first = _take_over(lock, path)
    try:
        if is_first:
            os.utime(path)
        yield is_first
    finally:
        lock.release()


def _lock(path: Path) -> FileLock:
    try:
        _make_private(path.parent)
    except OSError as error:
        raise StoreUnavailable("The directory cannot be written.", reason="unwritable") from error
    return FileLock(path, mode=0o600)


def _acquire(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    except OSError as error:
        raise StoreUnavailable("The directory cannot be written.", reason="unwritable") from error
    return True


def _take_over(lock: FileLock, path: Path) -> bool:
    """Take the lock of a process that hangs. Its file is removed, so that the next one is another lock.

    Who holds the lock set the time of the file then, at least as long ago as we waited for it.
    """
    breaking = _lock(path.with_name(f"{path.name}.stale"))
    if not _acquire(breaking, 0):
        return False
    try:
        if time.time() - path.stat().st_mtime <= STALE_SECONDS:
            return False
        path.unlink()
        return _acquire(lock, 0)
    except OSError:
        # Somebody else removed it, or this system removes no file that is open.
        return False
    finally:
        breaking.release()
