"""An answer, kept for a client that did not receive it and presents the same refresh token again (I10).

The code of a device is kept for in the same way: the device may not receive its tokens either.

Not here: how it is sealed (:mod:`.sealed_answer`), and who may have it (``grants/refresh_token.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import router

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import SealBroken
from django_lazyauth.models import SealedSuccessor
from django_lazyauth.models.fields import digest
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


@dataclass(frozen=True, slots=True)
class Used:
    """What was presented and is spent: a refresh token, or the code of a device.

    Attributes:
        secret: The token or code itself, which the answer is sealed under.
        family: The session that it began or went on.
        at: When it was used.
    """

    secret: str = field(repr=False)
    family: UUID
    client_id: str
    at: datetime

    @classmethod
    def of_refresh_token(cls, row: RefreshToken, token: str) -> Used:
        return cls(token, row.token_family, row.application.client_id, row.revoked)


def keep(body: str, resources: Iterable[str], jkt: str, used: Used) -> list[Step]:
    """Return the steps that keep *body* for whoever presents the same again within the grace.

    What was kept for earlier tokens of the family is deleted as soon as their grace ends: an old token and a copy of
    the database must not lead, seal by seal, to the token that works.
    """
    forget = Delete(SealedSuccessor, {"family": used.family}, before={"expires_at": used.at})
    grace = lazyauth_settings.refresh_grace
    if grace <= timedelta(0):
        return [forget]
    sealed = sealed_answer.seal(
        json.dumps({"body": body, "resource": list(resources), "jkt": jkt}),
        refresh_token=used.secret,
        family=used.family,
        client_id=used.client_id,
    )
    kept = SealedSuccessor(
        token_digest=digest(used.secret),
        family=used.family,
        sealed=sealed,
        expires_at=used.at + grace,
        created_at=used.at,
    )
    return [forget, Insert(kept)]


def find_kept(used: Used, now: datetime) -> KeptAnswer | None:
    """Return what *used*, whose row is locked, was answered; ``None`` after the grace and the end of its session (I11).

    The kept row is locked against the end of the session, which deletes it. Whoever ends a session through DOT alone
    leaves it: so the family is looked at too.
    """
    grace = lazyauth_settings.refresh_grace
    if grace <= timedelta(0) or now > used.at + grace:
        return None
    kept = (
        SealedSuccessor.objects.using(router.db_for_write(SealedSuccessor))
        .of_family(used.family)
        .select_for_update()
        .filter(token_digest=digest(used.secret), expires_at__gte=now)
        .first()
    )
    if kept is None or not family_works(used.family):
        return None
    try:
        opened = json.loads(
            sealed_answer.open_sealed(
                kept.sealed,
                refresh_token=used.secret,
                family=used.family,
                client_id=used.client_id,
            )
        )
    except SealBroken:
        return None
    # An earlier release kept no key.
    return KeptAnswer(opened["body"], frozenset(opened["resource"]), opened.get("jkt", ""))
