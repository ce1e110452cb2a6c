"""``real``: one of the providers, running and configured. A test gets each that can do what it is about."""

from __future__ import annotations

import pytest

from .software import NAME, SOFTWARE, Running


def pytest_generate_tests(metafunc):
    if "running" in metafunc.fixturenames:
        able = [one for one in SOFTWARE if metafunc.function.__name__ not in one.cannot]
        metafunc.parametrize("running", able, ids=lambda one: one.name, indirect=True, scope="session")


@pytest.fixture(scope="session")
def running(request):
    provider = Running(request.param)
    try:
        yield provider
    finally:
        provider.close()


@pytest.fixture
def real(running, lazyauth, settings):
    lazyauth(
        ALLOW_LOOPBACK_UPSTREAMS=True, PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {NAME: running.entry()}
    )
    running.count("token_endpoint")
    return running
