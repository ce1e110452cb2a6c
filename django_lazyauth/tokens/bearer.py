"""Who stands behind a bearer token in the Authorization header (RFC 6750 §2.1). Nowhere else is one looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from oauth2_provider.models import get_access_token_model, get_refresh_token_model

from django_lazyauth.kit.http import parse_bearer
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.models.fields import digest
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.server import LazyAuthCore

from .access_row import find_row

#: Characters of the header. A JWT of ours is hardly longer than one kilobyte, unless it names many resources.
MAX_TOKEN_LENGTH = 16 * 1024


@dataclass(frozen=True, slots=True)
class Bearer:
    """A good access token and what it stands for."""

    access_token: Any
    user: Any
    client: Any
    scopes: frozenset[str]

    @property
    def session_id(self) -> UUID | None:
        """The session that the token belongs to; ``None`` for a client that acts for itself. One query."""
        family: UUID | None = (
            get_refresh_token_model()
            .objects.filter(access_token=self.access_token)
            .values_list("token_family", flat=True)
            .first()
        )
        return family

    def allow_scopes(self, scopes: list[str]) -> bool:
        """Say whether the token carries all of *scopes*; the name that DOT's permission classes call."""
        return set(scopes) <= self.scopes


def has_bearer(http_request: HttpRequest) -> bool:
    """Say whether the request tries to authenticate with a bearer token at all."""
    return parse_bearer(http_request.headers.get("Authorization", "")) is not None


def load_bearer(http_request: HttpRequest) -> Bearer | None:
    """Return the bearer of a request, or ``None`` if the token is unknown, expired, revoked or for elsewhere."""
    header = http_request.headers.get("Authorization", "")
    if not has_bearer(http_request) or len(header) > MAX_TOKEN_LENGTH or has_bad_characters(header):
        return None
    core = LazyAuthCore()
    # No body and no query: a token there is not looked at (RFC 9700 §4.3.2).
    valid, request = core.server.verify_request(
        http_request.build_absolute_uri(http_request.path), http_request.method, "", {"Authorization": header}
    )
    if not valid:
        return None
    return Bearer(request.access_token, request.user, request.client, frozenset(request.scopes))


def find_bearer(token: str) -> Bearer | None:
    """Return what stands behind *token* now, or ``None`` if it is unknown, expired, revoked or its user or client is
    out of use. One query.

    Whether it is for this resource was checked by whoever asks.
    """
    return bearer_of(find_row(token))


def bearer_of(row: Any | None) -> Bearer | None:
    """The same of the row of a token, which :mod:`.access_token_rows` found. No query."""
    if row is None or not row.is_valid():
        return None
    if row.application is not None and not clients.is_usable(row.application):
        return None
    if row.user is not None and not row.user.is_active:
        return None
    return Bearer(row, row.user, row.application, frozenset(row.scope.split()))


def is_our_token(http_request: HttpRequest) -> bool:
    """Say whether the bearer of a request is one that we gave, dead or alive. One query."""
    token = parse_bearer(http_request.headers.get("Authorization", ""))
    if not token or len(token) > MAX_TOKEN_LENGTH or has_bad_characters(token):
        return False
    return bool(get_access_token_model().objects.filter(token_checksum=digest(token)).exists())
