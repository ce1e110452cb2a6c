"""One OpenID provider, ``corp``, where earlier deployments wrote ``oidc``; GitHub beside it."""

from __future__ import annotations

import pytest

CORP = {"issuer": "https://login.corp.example", "client_id": "us", "client_secret": "s" * 32}
OTHER = {"issuer": "https://login.other.example", "client_id": "us", "client_secret": "s" * 32}
GITHUB = {"preset": "github", "client_id": "us", "client_secret": "s" * 32}


@pytest.fixture(autouse=True)
def _one_of_each_type(_two_providers, settings):
    settings.LAZYAUTH = settings.LAZYAUTH | {"PROVIDERS": {"corp": CORP, "github": GITHUB}}
