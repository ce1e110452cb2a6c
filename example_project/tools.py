"""An MCP-style tool server: one address, JSON-RPC, and a tool that reads the person's notes at the upstream.

It speaks as much of the Model Context Protocol as a tool needs: ``initialize``, ``tools/list``, ``tools/call``.
The tool acts for the person with their own upstream token, which the client never sees.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.api.upstream import UpstreamBearer, UpstreamTokenPermission
from django_lazyauth.kit import fetch

PROVIDER = "demo"
PROTOCOL_VERSION = "2025-06-18"
READ_NOTES = {
    "name": "read_notes",
    "description": "Read the person's notes at the demo upstream.",
    "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
}
METHOD_NOT_FOUND, INVALID_PARAMS, INVALID_REQUEST = -32601, -32602, -32600


class ToolError(Exception):
    """The tool failed. The text is for the model that called it."""


class ToolServer(APIView):
    """``POST /mcp``. A request without an upstream token is refused before any tool runs."""

    authentication_classes = [LazyAuthAuthentication]
    permission_classes = [UpstreamTokenPermission(PROVIDER)]

    def post(self, request: Request) -> Response:
        call = request.data
        if not isinstance(call, dict) or not isinstance(call.get("method"), str):
            return Response(_error(None, INVALID_REQUEST, "Not a request of JSON-RPC 2.0."))
        if "id" not in call:
            return Response(status=HTTPStatus.ACCEPTED)  # A notification gets no answer.
        return Response(self._answer(request, call["id"], call["method"], call.get("params")))

    def _answer(self, request: Request, number: Any, method: str, params: Any) -> dict[str, Any]:
        if method == "initialize":
            return _result(
                number,
                {
                    "protocolVersion": PROTOCOL_VERSION,
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "example-notes", "version": "1"},
                },
            )
        if method == "tools/list":
            return _result(number, {"tools": [READ_NOTES]})
        if method != "tools/call":
            return _error(number, METHOD_NOT_FOUND, "There is no such method.")
        if not isinstance(params, dict) or params.get("name") != READ_NOTES["name"]:
            return _error(number, INVALID_PARAMS, "There is no such tool.")
        try:
            bearer: Any = request.auth
            notes, is_error = read_notes(bearer), False
        except ToolError as error:
            notes, is_error = [str(error)], True
        return _result(
            number, {"content": [{"type": "text", "text": note} for note in notes], "isError": is_error}
        )


def read_notes(bearer: UpstreamBearer) -> list[str]:
    """Return the person's notes; a token that the upstream refuses is renewed once.

    Raises:
        ToolError: The upstream does not give them.
    """
    credential = bearer.upstream(PROVIDER)
    response = _ask(credential.access_token)
    if response.status == HTTPStatus.UNAUTHORIZED:
        credential = bearer.upstream(PROVIDER, force=True, seen_version=credential.version)
        response = _ask(credential.access_token)
    if not response.ok:
        raise ToolError(f"The upstream answers {response.status}.")
    return [str(note) for note in response.json_object()["notes"]]


def _ask(access_token: str) -> fetch.Response:
    try:
        return fetch.get(
            f"{settings.UPSTREAM_ISSUER}/api/notes",
            policy=fetch.OPERATOR,
            headers={"Authorization": f"Bearer {access_token}", "Accept": "application/json"},
        )
    except fetch.FetchError as error:
        raise ToolError(f"The upstream does not answer ({error.reason}).") from None


def _result(number: Any, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _error(number: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
