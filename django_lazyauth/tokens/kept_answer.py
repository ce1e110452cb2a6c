"""The answer to a refresh, kept for a client that did not receive it and presents the same token again (I10).

Not here: how it is sealed (:mod:`.sealed_answer`), and who may have it (``grants/refresh_token.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import router

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import SealBroken
from django_lazyauth.models import SealedSuccessor
from django_lazyauth.toolkit.models import RefreshToken

from . import sealed_answer
from .refresh import family_works
from .writes import Delete, Insert, Step


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What the use of a refresh token was answered.

    Attributes:
        body: The token response, byte for byte.
        resources: The audience of its access token; empty where that is this site.
        jkt: Thumbprint of the key that its access token is bound to; empty for a bearer token.
    """

    body: str = field(repr=False)
    resources: frozenset[str]
    jkt: str = ""

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(json.loads(self.body).get("scope", "").split())


def keep(body: str, resources: Iterable[str], jkt: str, *, row: RefreshToken, token: str) -> list[Step]:
    """Return the steps that keep *body* for whoever presents *token*, spent just now, again within the grace.

    What was kept for earlier tokens of the family is deleted as soon as their grace ends: an old token and a copy of
    the database must not lead, seal by seal, to the token that works.
    """
    forget = Delete(SealedSuccessor, {"family": row.token_family}, before={"expires_at": row.revoked})
    grace = lazyauth_settings.refresh_grace
    if grace <= timedelta(0):
        return [forget]
    sealed = sealed_answer.seal(
        json.dumps({"body": body, "resource": list(resources), "jkt": jkt}),
        refresh_token=token,
        family=row.token_family,
        client_id=row.application.client_id,
    )
    kept = SealedSuccessor(
        token_digest=row.token_checksum,
        family=row.token_family,
        sealed=sealed,
        expires_at=row.revoked + grace,
        created_at=row.revoked,
    )
    return [forget, Insert(kept)]


def find_kept(row: RefreshToken, token: str, now: datetime) -> KeptAnswer | None:
    """Return what *row*, spent and locked, was answered; ``None`` after the grace, and once its session ended (I11).

    The kept row is locked against the end of the session, which deletes it. Whoever ends a session through DOT alone
    leaves it: so the family is looked at too.
    """
    grace = lazyauth_settings.refresh_grace
    if grace <= timedelta(0) or now > row.revoked + grace or not row.token_family:
        return None
    kept = (
        SealedSuccessor.objects.using(router.db_for_write(SealedSuccessor))
        .of_family(row.token_family)
        .select_for_update()
        .filter(token_digest=row.token_checksum, expires_at__gte=now)
        .first()
    )
    if kept is None or not family_works(row):
        return None
    try:
        opened = json.loads(
            sealed_answer.open_sealed(
                kept.sealed,
                refresh_token=token,
                family=row.token_family,
                client_id=row.application.client_id,
            )
        )
    except SealBroken:
        return None
    # An earlier release kept no key.
    return KeptAnswer(opened["body"], frozenset(opened["resource"]), opened.get("jkt", ""))
