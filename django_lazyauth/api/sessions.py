"""Where the person who is signed in here is signed in: list, end.

By the browser's session only: a client could otherwise end the sessions of others.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.sessions import end
from django_lazyauth.sessions.listing import Session, sessions_of
from django_lazyauth.toolkit import clients

from .base import PersonView, described, person_of
from .serializers import RejectedSerializer, SessionListSerializer


def _body(session: Session) -> dict[str, Any]:
    client = session.client
    return {
        "id": session.session_id,
        "client": {
            "client_id": client.client_id,
            "name": client.name,
            "is_verified": clients.is_verified(client),
        },
        "provider": session.provider,
        "since": session.since,
        "last_used_at": session.last_used_at,
    }


class SessionsView(PersonView):
    """All sessions of the person."""

    @described(summary="List your sessions", responses={200: SessionListSerializer}, tags=["sessions"])
    def get(self, request: Request) -> Response:
        """List where you are signed in, last used first."""
        found = [_body(session) for session in sessions_of(person_of(request))]
        return Response(SessionListSerializer({"sessions": found}).data)


class SessionView(PersonView):
    """One session of the person."""

    refusals: ClassVar = {end.NoSuchSession: ("not_found", HTTPStatus.NOT_FOUND)}

    @described(
        summary="End a session",
        responses={204: None, 404: RejectedSerializer},
        tags=["sessions"],
    )
    def delete(self, request: Request, session_id: UUID) -> Response:
        """End it. Its tokens and upstream tokens are deleted, and its client is told if it asked for that."""
        end.end_session_of(person_of(request), session_id)
        return Response(status=HTTPStatus.NO_CONTENT)
