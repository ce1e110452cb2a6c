"""A resource of the site's own, as a host writes one."""

from __future__ import annotations

from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.resource_server.authentication import AccessTokenAuthentication
from django_lazyauth.resource_server.permissions import RequireAuthentication, RequireScope


class Whoever(APIView):
    """Says who calls."""

    authentication_classes = [LazyAuthAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": str(request.user.pk)})


class Tools(APIView):
    """An MCP server as docs/how-to/mcp-scopes.md has it: who only looks needs less than who changes something."""

    authentication_classes = [AccessTokenAuthentication]

    def get_permissions(self):
        message = self.request.data if isinstance(self.request.data, dict) else {}
        writes = message.get("method") == "tools/call"
        return [RequireScope("tools:write" if writes else "tools:read")()]

    def get(self, request):
        return Response({"scope": sorted(request.auth.scopes)})

    def post(self, request):
        scopes = sorted(request.auth.scopes)
        return Response({"jsonrpc": "2.0", "id": request.data.get("id"), "result": {"scopes": scopes}})


class Transfer(APIView):
    """Wants a strong sign-in of a moment ago."""

    authentication_classes = [LazyAuthAuthentication]
    permission_classes = [
        RequireScope("tools:write"),
        RequireAuthentication(acr=["urn:example:mfa"], max_age=300),
    ]

    def post(self, request):
        return Response({"acr": request.auth.acr, "user": str(request.user.pk)})
