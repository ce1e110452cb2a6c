"""Legacy rows for the tests, and what the vault holds of them afterwards."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_lazyauth.models import LegacyUpstreamToken, ProviderIdentity, UpstreamToken
from django_lazyauth.models.fields import digest, uuid7
from django_lazyauth.vault import store

#: To the second: what a legacy deployment kept.
HOUR = timedelta(hours=1)


def in_an_hour() -> datetime:
    return (timezone.now() + HOUR).replace(microsecond=0)


def make_user(name: str = "ada", **fields: Any) -> Any:
    return get_user_model().objects.create(username=name, **fields)


def make_legacy(user: Any, client: Any, **fields: Any) -> LegacyUpstreamToken:
    """Write a row as an earlier deployment did."""
    session_id = fields.pop("session_id", None) or uuid7()
    defaults = {
        "session_id": str(session_id),
        "provider": "oidc",
        "user": user,
        "client": client,
        "subject": f"sub-of-{user.username}",
        "access_token": f"access-{session_id}",
        "refresh_token": f"refresh-{session_id}",
        "id_token": f"id-{session_id}",
        "scope": "openid email",
        "expires_at": in_an_hour(),
        "refresh_expires_at": in_an_hour() + timedelta(days=3),
    }
    return LegacyUpstreamToken.objects.create(**defaults | fields)


def make_identity(user: Any, provider: str = "oidc", **fields: Any) -> ProviderIdentity:
    defaults = {
        "subject": f"sub-of-{user.username}",
        "issuer": "",
        "email": f"{user.username}@people.example",
    }
    return ProviderIdentity.objects.create(user=user, provider=provider, **defaults | fields)


class Ran:
    """What a run of the command said."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.out)


def migrate(*arguments: str, as_json: bool = True, **options: Any) -> Ran:
    """Run the command; a status of 1 is what an operator's shell would see."""
    out, err = io.StringIO(), io.StringIO()
    if as_json:
        arguments = (*arguments, "--json")
    try:
        call_command("migrate_legacy_tokens", *arguments, stdout=out, stderr=err, **options)
    except CommandError as error:
        return Ran(error.returncode, out.getvalue(), f"{err.getvalue()}{error}")
    return Ran(0, out.getvalue(), err.getvalue())


def bundle_of(session_id: Any, provider: str = "corp") -> store.UpstreamBundle:
    row = UpstreamToken.objects.get(session_id=UUID(str(session_id)), provider=provider)
    return store.get(row.session_id, provider, user_id=row.user_id, client_id=row.client_id)


def key_digest(session_id: Any, prefix: str = "") -> str:
    return digest(f"{prefix}upstream:{session_id}")


def epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def from_epoch(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
