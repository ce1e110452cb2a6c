"""The last party of the demo: an agent that Ada's organisation lets act for her, without a page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import requests

from .demo_client import TIMEOUT_SECONDS
from .servers import Stage

CLIENT_ID = "agent"
SCOPE = "profile"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Agent:
    """A confidential client of the site (RFC 7523 §2.1)."""

    token_endpoint: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def register(self, stage: Stage) -> None:
        """Have the operator register it."""
        stage.manage(
            "createapplication",
            "--skip-checks",
            "confidential",
            "client-credentials",
            "--name=Agent",
            f"--client-id={CLIENT_ID}",
            f"--client-secret={self.secret}",
        )

    def bring(self, assertion: str) -> tuple[int, dict[str, Any]]:
        """Bring what the organisation signed; return status and answer of the token endpoint."""
        form = {"grant_type": JWT_BEARER, "assertion": assertion}
        with requests.Session() as http:
            http.trust_env = False
            response = http.post(
                self.token_endpoint, data=form, auth=(CLIENT_ID, self.secret), timeout=TIMEOUT_SECONDS
            )
        return response.status_code, dict(response.json())
