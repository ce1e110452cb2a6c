"""Find and start the Chromium of this machine; skip where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: No sandbox, since containers run as root; nothing that talks to anybody but the pages under test.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
)


def executable() -> str | None:
    """Return the path of Chromium: ``LAZYAUTH_TEST_CHROMIUM``, or the first that the system knows."""
    return os.environ.get("LAZYAUTH_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def running() -> Iterator[Browser]:
    """A headless Chromium with a user data directory of its own, gone afterwards."""
    path = executable()
    if path is None:
        pytest.skip("service: no Chromium here; name one in LAZYAUTH_TEST_CHROMIUM")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=path, headless=True, args=list(ARGUMENTS), timeout=30_000
            )
        except Error as error:
            pytest.skip(f"service: {path} does not start: {error.message.splitlines()[0]}")
        try:
            yield browser
        finally:
            browser.close()
