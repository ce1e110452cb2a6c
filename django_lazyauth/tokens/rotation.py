"""Rotation of refresh tokens: one successor per use, and the same answer again within the grace (I10, RFC 9700 §4.14).

Everything here happens on a row that the flow's transaction holds locked. What has to outlive that transaction,
ending the session of a token that somebody copied, is left in ``ended_sessions``.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import router
from django.utils import timezone
from oauth2_provider.models import get_refresh_token_model
from oauthlib.oauth2.rfc6749 import errors

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import SealBroken
from django_lazyauth.models import SealedSuccessor
from django_lazyauth.models.prepared_write import PreparedWrite, insert, prepare_delete

from . import refresh, sealed_answer
from .refresh import RefreshTokenRow
from .resources import lies_below


@dataclass(frozen=True, slots=True)
class Answered:
    """What the use of a refresh token was answered.

    Attributes:
        body: The token response, byte for byte.
        resource: The audience of its access token; empty where that is this site.
    """

    body: str
    resource: tuple[str, ...]

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(json.loads(self.body).get("scope", "").split())


class Rotation:
    """The part of the validator that is about refresh tokens."""

    #: Sessions that this request showed to be compromised or asked to end.
    ended_sessions: set[uuid.UUID]

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """Say whether *refresh_token* of *client* would work now. Nothing is locked, spent or ended."""
        row = refresh.find(refresh_token)
        if row is None or row.application_id != client.pk or not refresh.is_good(row, timezone.now()):
            return False
        self._note(row, request)
        return True

    def take_refresh_token(self, request: Any) -> Answered | None:
        """Lock the refresh token of *request* and check it; return what it was answered before, if it was.

        One that was used longer ago than the grace shows that a copy is about: its session ends (I10).

        Raises:
            InvalidGrantError: It is unknown, spent, over, or another client's; not told apart.
        """
        row = refresh.lock(request.refresh_token)
        if row is None or row.application_id != request.client.pk:
            raise errors.InvalidGrantError(request=request)
        now = timezone.now()
        if row.revoked is not None:
            return self._answer_again(row, request, now)
        if not refresh.is_good(row, now):
            raise errors.InvalidGrantError(request=request)
        # What DOT issued before it knew families gets one now, so that a replay has something to end.
        row.token_family = row.token_family or uuid.uuid4()
        self._note(row, request)
        return None

    def _note(self, row: RefreshTokenRow, request: Any) -> None:
        request.user, request.refresh_token_instance = row.user, row

    def _answer_again(self, row: RefreshTokenRow, request: Any, now: datetime) -> Answered:
        answered = _answered(row, request, now)
        if answered is None:
            if row.token_family:
                self.ended_sessions.add(row.token_family)
            raise errors.InvalidGrantError(request=request)
        if not row.user.is_active or not refresh.is_young(row, now):
            raise errors.InvalidGrantError(request=request)
        return answered

    def check_audience_of_refresh(self, request: Any) -> None:
        """Check what DOT does not: a session that named no resource is for this site, and stays here (I20).

        Raises:
            CustomOAuth2Error: ``invalid_target``: a resource elsewhere.
        """
        granted = request.refresh_token_instance.resource
        here = lazyauth_settings.issuer_origin
        if not granted and not all(lies_below(resource, here) for resource in request.resource):
            raise errors.CustomOAuth2Error(
                error="invalid_target",
                description="A resource was not part of the authorization request.",
                request=request,
            )

    def spend_refresh_token(self, request: Any) -> RefreshTokenRow:
        """Spend the token that was taken, and return its row.

        Raises:
            InvalidGrantError: Somebody was faster, where the database cannot lock a row.
        """
        row = request.refresh_token_instance
        if not refresh.spend(row, timezone.now()):
            raise errors.InvalidGrantError(request=request)
        return row

    def keep_answer(self, body: str, request: Any) -> None:
        """Keep *body* for whoever presents the token of *request* again within the grace.

        What was kept for earlier tokens of the family goes as soon as their grace is over: an old token and a
        dump must not lead, seal by seal, to the one that works.
        """
        row: RefreshTokenRow = request.refresh_token_instance
        _forget(router.db_for_write(SealedSuccessor)).run(row.token_family, row.revoked)
        grace = lazyauth_settings.refresh_grace
        if grace <= timedelta(0):
            return
        kept = json.dumps({"body": body, "resource": list(request.resource)})
        sealed = sealed_answer.seal(
            kept,
            refresh_token=request.refresh_token,
            family=row.token_family,
            client_id=request.client.client_id,
        )
        insert(
            SealedSuccessor(
                token_digest=row.token_checksum,
                family=row.token_family,
                sealed=sealed,
                expires_at=row.revoked + grace,
                created_at=row.revoked,
            )
        )


@cache
def _forget(using: str) -> PreparedWrite:
    return prepare_delete(SealedSuccessor, using, where=("family",), before=("expires_at",))


def _answered(row: RefreshTokenRow, request: Any, now: datetime) -> Answered | None:
    """Return what *row* was answered; ``None`` after the grace, and once its session ended (I11).

    The row is locked against the end of the session, which deletes it. That the family lives is looked at too:
    whoever ends it through DOT alone knows nothing of sealed answers.
    """
    grace = lazyauth_settings.refresh_grace
    if grace <= timedelta(0) or now > row.revoked + grace or not row.token_family:
        return None
    using = router.db_for_write(get_refresh_token_model())
    kept = (
        SealedSuccessor.objects.using(using)
        .of_family(row.token_family)
        .select_for_update()
        .filter(token_digest=row.token_checksum, expires_at__gte=now)
        .first()
    )
    if kept is None or not refresh.family_works(row):
        return None
    try:
        opened = json.loads(
            sealed_answer.open_sealed(
                kept.sealed,
                refresh_token=request.refresh_token,
                family=row.token_family,
                client_id=request.client.client_id,
            )
        )
    except SealBroken:
        return None
    return Answered(opened["body"], tuple(opened["resource"]))
