"""``real``: one of the providers, running and configured. A test gets each that can do what it is about."""

from __future__ import annotations

import pytest

import tests.support.patience  # noqa: F401 - see there

from .software import NAME, SOFTWARE, Running


def pytest_generate_tests(metafunc):
    if "running" in metafunc.fixturenames:
        able = [one for one in SOFTWARE if metafunc.function.__name__ not in one.cannot]
        metafunc.parametrize("running", able, ids=lambda one: one.name, indirect=True)


@pytest.fixture(scope="session")
def started():
    """The providers that run, by name. Each is started when it is first used, and once."""
    providers: dict[str, Running] = {}
    yield providers
    for provider in providers.values():
        provider.close()


@pytest.fixture
def running(request, started):
    name = request.param.name
    if name not in started:
        started[name] = Running(request.param)
    return started[name]


@pytest.fixture
def real(running, lazyauth, settings):
    lazyauth(
        ALLOW_LOOPBACK_UPSTREAMS=True, PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {NAME: running.entry()}
    )
    running.count("token_endpoint")
    return running
