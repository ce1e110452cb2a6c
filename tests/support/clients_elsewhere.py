"""A store of a host that keeps its clients in files, outside django-oauth-toolkit's table."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from django_lazyauth.errors import RegistrationConflict

FOLDER = Path(tempfile.mkdtemp(prefix="lazyauth-clients-"))
LOCK = threading.Lock()


@dataclass(frozen=True)
class FiledClient:
    client_id: str
    issued_at: datetime
    metadata: Mapping[str, Any]
    secret_digest: str
    token_digest: str
    repeat_key: str | None = None


class FileStore:
    def register_client(self, attrs):
        client = FiledClient(
            client_id=attrs.client_id,
            issued_at=attrs.issued_at,
            metadata=dict(attrs.metadata),
            secret_digest=attrs.secret_digest,
            token_digest=attrs.registration_access_token_digest,
            repeat_key=attrs.repeat_key,
        )
        with LOCK:
            self._write(client)
        return client

    def get_client(self, client_id):
        path = self._path(client_id)
        if not path.exists():
            return None
        members = json.loads(path.read_text())
        return FiledClient(**members | {"issued_at": datetime.fromisoformat(members["issued_at"])})

    def registration_access_token_digest(self, client):
        return client.token_digest

    def update_client(self, client, attrs):
        with LOCK:
            kept = self.get_client(client.client_id)
            if kept is None or kept.token_digest != client.token_digest:
                raise RegistrationConflict
            changed = replace(
                kept,
                metadata=dict(attrs.metadata),
                token_digest=attrs.registration_access_token_digest,
                secret_digest=kept.secret_digest if attrs.secret_digest is None else attrs.secret_digest,
                repeat_key=None,
            )
            self._write(changed)
        return changed

    def unregister_client(self, client):
        self._path(client.client_id).unlink()

    def find_repeated(self, repeat_key):
        for path in FOLDER.glob("*.json"):
            client = self.get_client(path.stem)
            if client is not None and client.repeat_key == repeat_key:
                with LOCK:
                    self._write(replace(client, token_digest=""))
                return client
        return None

    def _path(self, client_id: str) -> Path:
        return FOLDER / f"{os.path.basename(client_id)}.json"

    def _write(self, client: FiledClient) -> None:
        path = self._path(client.client_id)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(vars(client) | {"issued_at": client.issued_at.isoformat()}))
        new.replace(path)


def forget_all() -> None:
    for path in FOLDER.glob("*"):
        path.unlink()
