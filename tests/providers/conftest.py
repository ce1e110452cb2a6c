"""A flow that is sent to the provider process, for the tests of this folder."""

import pytest

from tests.support.legs import pending_of


@pytest.fixture
def pending(application):
    return pending_of(application)


@pytest.fixture
def acme(upstream, lazyauth):
    """Change the configuration of ``acme``."""

    def change(**config):
        lazyauth(PROVIDERS={"acme": upstream.config(**config)})

    return change
