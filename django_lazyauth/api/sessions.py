"""Where the person who is signed in here is signed in: list, end.

By the browser's session only: a client could otherwise end the sessions of others.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.sessions import end
from django_lazyauth.sessions.listing import Session, sessions_of
from django_lazyauth.toolkit import clients

from .base import PersonView, described, person_of, refusal
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
    """All of them."""

    @described(summary="List your sessions", responses={200: SessionListSerializer}, tags=["sessions"])
    def get(self, request: Request) -> Response:
        """List where you are signed in, last used first."""
        found = [_body(session) for session in sessions_of(person_of(request))]
        return Response(
            SessionListSerializer({"sessions": found}).data, headers={"Cache-Control": "no-store"}
        )


class SessionView(PersonView):
    """One of them."""

    @described(
        summary="End a session",
        responses={204: None, 404: RejectedSerializer},
        tags=["sessions"],
    )
    def delete(self, request: Request, session_id: UUID) -> Response:
        """End it: its tokens and upstream tokens are gone, and its client is told if it asked for that."""
        try:
            end.end_session_of(person_of(request), session_id)
        except end.NoSuchSession:
            return refusal("not_found", status.HTTP_404_NOT_FOUND)
        return Response(status=status.HTTP_204_NO_CONTENT)
