"""The provider process, and a flow that is sent to it, for the tests of this folder."""

import pytest

from tests.support.legs import pending_of
from tests.support.upstream import upstream, upstream_process

__all__ = ["upstream", "upstream_process"]


@pytest.fixture
def pending(application):
    return pending_of(application)


@pytest.fixture
def acme(upstream, lazyauth):
    """Change the configuration of ``acme``."""

    def change(**config):
        lazyauth(PROVIDERS={"acme": upstream.config(**config)})

    return change
