"""Be a client of a server that nobody told about us (RFC 7591). What it answers is kept, by issuer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..answers import request
from ..errors import LoginFailed, NoAnswer, error_code
from ..files import exclusive, read_document, remove_document, write_document
from .discovery import Server

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
#: Any port fits it (RFC 8252 §7.3).
REDIRECT_URI: Final = "http://127.0.0.1/callback"


@dataclass(frozen=True, slots=True)
class DynamicRegistration:
    """A public client that registers itself once at each server.

    Attributes:
        directory: Where the ids are kept; usually that of the store.
        client_name: What people read on the consent page.
        is_anew: Register although there is an id.
    """

    directory: Path
    client_name: str
    is_anew: bool = False

    def anew(self) -> DynamicRegistration:
        """Return the same, which registers although there is an id: the server may have deleted it."""
        return replace(self, is_anew=True)

    def client_id(self, server: Server, *, device: bool = False) -> str:
        """Return our id at *server*, and register if there is none yet.

        Raises:
            LoginFailed: The server registers no such client.
        """
        path = self._path(server, device)
        with exclusive(path.with_suffix(".lock")):
            known = None if self.is_anew else read_document(path)
            if known is None or not isinstance(known.get("client_id"), str):
                known = {"issuer": server.issuer, "client_id": self._register(server, device)}
                write_document(path, known)
        return str(known["client_id"])

    def forget(self, server: Server, *, device: bool = False) -> None:
        """Register anew next time: the server no longer knows the client."""
        remove_document(self._path(server, device))

    def _path(self, server: Server, device: bool) -> Path:
        kind = "device" if device else "browser"
        digest = hashlib.sha256(f"{kind} {self.client_name} {server.issuer}".encode()).hexdigest()
        return self.directory / "clients" / f"{digest[:32]}.json"

    def _register(self, server: Server, device: bool) -> str:
        if server.registration_endpoint is None:
            raise LoginFailed("The server registers no clients. Name a client id.", reason="no_registration")
        grants: Sequence[str] = ["authorization_code", "refresh_token", *([DEVICE_CODE] if device else [])]
        wanted = {
            "client_name": self.client_name,
            "redirect_uris": [REDIRECT_URI],
            "grant_types": grants,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        }
        try:
            status, _, answer = request("POST", server.registration_endpoint, document=wanted)
        except NoAnswer as error:
            raise LoginFailed("The server does not answer.", reason=error.reason) from None
        answer = answer or {}
        client_id = answer.get("client_id")
        if status not in (200, 201) or not isinstance(client_id, str) or not client_id:
            reason = error_code(answer.get("error")) or f"http_{status}"
            raise LoginFailed(f"The server did not register us: {reason}.", reason=reason)
        if answer.get("token_endpoint_auth_method", "none") != "none":
            raise LoginFailed("The server registers no public clients.", reason="confidential_only")
        return client_id
