"""Make tokens: from a :class:`Grantee` the response, and the rows behind it.

Nothing is read or written here. A function of the host that adds claims may read.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import TokenFacts
from django_lazyauth.models.fields import digest
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.models import AccessToken, IDToken, RefreshToken, get_refresh_token_model

from . import access, binding
from .grantee import Grantee
from .id import new_id_token


@dataclass(frozen=True, slots=True)
class Issued:
    """New tokens.

    Attributes:
        body: The token response (RFC 6749 §5.1), as JSON.
        access_token: Its unsaved row, as the others. Write :attr:`rows` in their order: each may point to the one
            before.
        refresh_token: ``None`` where there is none, as the ID token.
        facts: Of the access token; ``None`` for a bearer token.
    """

    body: str = field(repr=False)
    access_token: AccessToken
    refresh_token: RefreshToken = None
    id_token: IDToken = None
    facts: TokenFacts | None = None

    @property
    def rows(self) -> list[Any]:
        made = (self.id_token, self.access_token, self.refresh_token, self.facts)
        return [row for row in made if row is not None]


def issue(grantee: Grantee) -> Issued:
    """Return new tokens of *grantee*. The access token expires when its row does."""
    now = timezone.now()
    lifetime = lazyauth_settings.access_token_lifetime_for(grantee.issued_for)
    if grantee.not_after is not None:
        lifetime = min(lifetime, grantee.not_after - now)
    access_token = access.new_access_token(grantee, now, lifetime)
    response: dict[str, Any] = {
        "access_token": access_token,
        "expires_in": int(lifetime.total_seconds()),
        "token_type": binding.token_type(grantee.jkt),
        "scope": grantee.scope,
    }
    if grantee.issued_token_type:
        response["issued_token_type"] = grantee.issued_token_type
    refresh_token = id_token = None
    if grantee.has_id_token:
        response["id_token"], id_token = new_id_token(grantee, access_token, now)
    row = access.new_row(grantee, access_token, now + lifetime, id_token)
    if grantee.has_refresh_token:
        value = secrets.token_urlsafe(32)
        refresh_token = _refresh_row(grantee, value, row)
        if grantee.is_offline and clients.may_refresh(grantee.client):
            # The session hangs on the row. It is written for every client, and its token is told to some.
            response["refresh_token"] = value
    return Issued(json.dumps(response), row, refresh_token, id_token, access.facts_of(grantee, row))


def _refresh_row(grantee: Grantee, value: str, access_token: AccessToken) -> RefreshToken:
    return get_refresh_token_model()(
        user=grantee.user,
        application=grantee.client,
        access_token=access_token,
        token_family=grantee.session_id,
        resource=list(grantee.granted_resources),
        token="",
        token_checksum=digest(value),
    )
