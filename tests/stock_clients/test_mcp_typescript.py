"""``auth()`` of ``@modelcontextprotocol/sdk`` under Node: discovery, registration, authorization, refresh."""

from __future__ import annotations

import pytest
from oauth2_provider.models import Application

from .conftest import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_it_registers_and_runs_the_whole_flow(node, issuer, ada, method):
    said = node.run(
        "mcp_typescript.mjs", issuer.api, REDIRECT_URI, method, answer=lambda asked: ada.answer(asked["ask"])
    )
    assert said == {
        "steps": ["REDIRECT", "AUTHORIZED", "AUTHORIZED"],
        "status": 200,
        "renewed": True,
        "hasSecret": method != "none",
        "resource": issuer.api,
    }
    assert Application.objects.get().registration_source == "dcr"
