"""A tool of the site: an API that clients call with the access tokens they get here."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication


class WhoAmI(APIView):
    """Return who the bearer of the token is, and which client asks on their behalf."""

    authentication_classes = [LazyAuthAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        bearer: Any = request.auth
        return Response(
            {
                "user": bearer.user.get_username(),
                "name": bearer.user.get_full_name(),
                "client_id": bearer.client.client_id,
                "scope": " ".join(sorted(bearer.scopes)),
            }
        )
