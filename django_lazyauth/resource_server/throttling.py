"""How often a client, or a person through a client, may call a view: throttles of Django REST framework.

They work with :class:`.AccessTokenAuthentication` and with ``LazyAuthAuthentication``. A request without such a token
is not counted: permissions refuse it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from django_lazyauth.openid.access_token import AccessToken


class ClientThrottle(SimpleRateThrottle):
    """All requests of one client together. ``DEFAULT_THROTTLE_RATES = {"lazyauth-client": "1000/min"}``."""

    scope = "lazyauth-client"

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        caller = self.caller(request)
        if caller is None:
            return None
        # A client id may be a URL, and a cache takes no long keys.
        ident = hashlib.sha256("\n".join(caller).encode()).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": ident}

    def caller(self, request: Request) -> tuple[str, ...] | None:
        """Return who is counted; ``None`` without a token."""
        token = request.auth
        if isinstance(token, AccessToken):
            return token.issuer, token.client_id
        client = getattr(token, "client", None)  # Of LazyAuthAuthentication, which this room does not know.
        return ("", client.client_id) if client is not None else None


class ClientUserThrottle(ClientThrottle):
    """Requests of one person through one client. A client that acts for itself counts as its own person."""

    scope = "lazyauth-client-user"

    def caller(self, request: Request) -> tuple[str, ...] | None:
        client = super().caller(request)
        if client is None:
            return None
        return (*client, str(getattr(request.user, "pk", "") or ""))
