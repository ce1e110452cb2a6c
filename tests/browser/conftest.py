"""Fixtures of the browser tests: the processes, the client, people with browsers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

import tests.support.patience  # noqa: F401 - see there
from example_project.servers import Stage

from . import chromium as engine
from . import client as client_module
from .person import Somebody
from .site import Site


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Ends with this package: Playwright keeps an event loop in the thread, beside which Django's ORM refuses."""
    with engine.running() as browser:
        yield browser


@pytest.fixture(scope="package")
def _running_site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """After the browser: without one nothing else need start."""
    directory = tmp_path_factory.mktemp("stage")
    with client_module.listener() as redirect_uri, Stage(directory) as stage:
        site = Site(stage, redirect_uri)
        site.register("trail-journal")
        yield site


@pytest.fixture
def site(_running_site: Site) -> Site:
    """The running site, where nobody was ever before."""
    _running_site.forget_everybody()
    return _running_site


@pytest.fixture
def somebody(chromium: Browser) -> Iterator[Callable[..., Somebody]]:
    """Return people with a fresh browser each: ``somebody(java_script_enabled=False)``.

    At the end no browser may have complained, except about what a test took off its list.
    """
    people: list[Somebody] = []

    def make(**options: Any) -> Somebody:
        context = chromium.new_context(**{"locale": "en-GB", "color_scheme": "light", **options})
        people.append(Somebody(context))
        return people[-1]

    yield make
    for person in people:
        person.context.close()
    assert [complaint for person in people for complaint in person.complaints] == []


@pytest.fixture
def person(somebody: Callable[..., Somebody]) -> Somebody:
    return somebody()


@pytest.fixture
def unverified(site: Site) -> Iterator[None]:
    """The clients registered themselves."""
    site.execute("UPDATE oauth2_provider_application SET registration_source = 'dcr'")
    yield
    site.execute("UPDATE oauth2_provider_application SET registration_source = 'manual'")
