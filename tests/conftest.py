"""Fixtures that every test may use. Real rows, real requests; what a test is about is never replaced."""

from __future__ import annotations

import copy
import gc
import re
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import translation

from django_lazyauth.kit import throttle
from tests.support import migrated
from tests.support.journey import REDIRECT_URI, OAuthClient
from tests.support.providers import BelievingProvider
from tests.support.quick_flush import delete_rows, put_back_what_migrate_made
from tests.support.upstream import sso, upstream, upstream_process

__all__ = ["sso", "upstream", "upstream_process"]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected: nearly all that is made stays until the end.

    Nor is it looked through again during each test.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


#: Folders of which every test has a marker. `make test` does not even import them.
MARKED = {"browser": "browser", "stock_clients": "services", "upstream/real": "services"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over a file that does not name the marker that ``-m`` begins with: to import them all takes seconds."""
    wanted = re.match("slow|services|browser", config.getoption("markexpr"))
    if wanted is None or collection_path.suffix != ".py":
        return None
    folder = collection_path.relative_to(Path(__file__).parent).parent.as_posix()
    is_marked = any(folder.startswith(name) and marker == wanted[0] for name, marker in MARKED.items())
    return None if is_marked or f"mark.{wanted[0]}" in collection_path.read_text() else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = {Path(__file__).parent / folder: marker for folder, marker in MARKED.items()}
    for item in items:
        for folder in marked.keys() & set(item.path.parents):
            item.add_marker(marked[folder])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Spell out the lone surrogates in what is told of a test: a worker that tells of one is lost, with its results."""
    report = yield
    report.sections = [(name, _told(text)) for name, text in report.sections]
    if report.failed and (text := _told(report.longreprtext)) != report.longreprtext:
        report.longrepr = text
    return report


def _told(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    migrated.begin_with_a_copy()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        migrated.keep()
        made = put_back_what_migrate_made()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.ops, "sql_flush", partial(delete_rows, made))
        yield


@pytest.fixture(autouse=True)
def _clean_slate():
    cache.clear()
    # A request leaves its language behind in the thread.
    translation.deactivate()
    BelievingProvider.before_finalize.clear()
    BelievingProvider.finalized.clear()


@pytest.fixture(autouse=True)
def _one_throttle_window(monkeypatch):
    """Windows begin at multiples of their length, so a test that counts attempts would fail around each full minute."""
    began = time.time()
    monkeypatch.setattr(throttle, "time", SimpleNamespace(time=lambda: began))


@pytest.fixture(autouse=True)
def _two_providers(settings):
    settings.LAZYAUTH = copy.deepcopy(settings.LAZYAUTH) | {
        "PROVIDERS": {
            "demo": {"class": "tests.support.providers.BelievingProvider", "display_name": "Demo"},
            "other": {"class": "tests.support.providers.BelievingProvider"},
        }
    }


@pytest.fixture
def lazyauth(settings):
    """Change single LAZYAUTH settings: ``lazyauth(REGISTRATION="immediate")``."""

    def change(**values):
        settings.LAZYAUTH = settings.LAZYAUTH | values

    return change


def register(**fields):
    from oauth2_provider.models import get_application_model

    defaults = {
        "name": "Client of the tests",
        "client_type": "public",
        "authorization_grant_type": "authorization-code",
        "redirect_uris": REDIRECT_URI,
        "client_secret": "",
        "hash_client_secret": False,
    }
    return get_application_model().objects.create(**defaults | fields)


@pytest.fixture
def application(db):
    """An operator's public client."""
    return register(client_id="public-client")


@pytest.fixture
def client_(application):
    return OAuthClient(application.client_id)


CONFIDENTIAL_SECRET = "s" * 24 + "0123456789abcdef0123456789abcdef"


@pytest.fixture
def confidential(db):
    """A confidential client, its secret stored as DOT does."""
    register(
        client_id="confidential-client",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    return OAuthClient("confidential-client", CONFIDENTIAL_SECRET)


@pytest.fixture
def opened(monkeypatch):
    """Every socket that a fetch opens. It goes no further.

    ``tests/clients/test_client_key_addresses`` shows that a real fetch is seen.
    """
    from django_lazyauth.kit.fetch import sockets

    seen = []

    class Forbidden(sockets.PlainSocket):
        def __init__(self, *args, **kwargs):
            seen.append(args)
            raise OSError("a socket was opened")

    monkeypatch.setattr(sockets, "PlainSocket", Forbidden)
    return seen
