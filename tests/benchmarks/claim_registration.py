"""A registration makes a random secret and keeps one SHA-256 of it; the stock toolkit stretches it with PBKDF2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest
from django.test import RequestFactory
from oauth2_provider.models import get_application_model

from django_lazyauth.models import ClientRegistration

from .harness import Claim, Side


@dataclass
class Registrations:
    """Confidential clients that register themselves at *path*."""

    path: str
    handler: BaseHandler
    sent: int = 0

    def prepare(self, count: int) -> list[HttpRequest]:
        return [self._request() for _ in range(count)]

    def _request(self) -> HttpRequest:
        self.sent += 1
        document = {
            "client_name": f"Client {self.sent} of {self.path}",
            "redirect_uris": ["https://client.example/cb"],
            "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        # A network each: the limit per network is not what is measured.
        return RequestFactory().post(
            self.path,
            json.dumps(document),
            content_type="application/json",
            secure=True,
            SERVER_NAME="auth.example",
            REMOTE_ADDR=f"10.{self.sent // 256 % 256}.{self.sent % 256}.1",
        )

    def run(self, request: HttpRequest) -> None:
        response: Any = self.handler.get_response(request)
        if response.status_code != 201 or b'"client_secret"' not in response.content:
            raise AssertionError(f"{self.path} answered {response.status_code}: {response.content[:200]!r}")


def sides() -> tuple[Side, Side]:
    """Return our endpoint and the stock toolkit's, which is opened to strangers for this."""
    settings.OAUTH2_PROVIDER = settings.OAUTH2_PROVIDER | {
        "DCR_ENABLED": True,
        "DCR_REGISTRATION_PERMISSION_CLASSES": ("oauth2_provider.dcr.AllowAllDCRPermission",),
    }
    from oauth2_provider.settings import oauth2_settings

    oauth2_settings.reload()
    handler = BaseHandler()
    handler.load_middleware()
    ours, stock = Registrations("/register/", handler), Registrations("/o/register/", handler)

    def check() -> None:
        registered = ClientRegistration.objects.count()
        clients = get_application_model().objects.count()
        if registered != ours.sent or clients != ours.sent + stock.sent:
            raise AssertionError(f"{registered} of ours and {clients} in all were registered")

    return Side(ours.prepare, ours.run, check), Side(stock.prepare, stock.run)


CLAIM = Claim("registration of a confidential client", bound=0.03, sides=sides, rounds=4, samples=10)
