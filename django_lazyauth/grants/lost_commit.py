"""COMMIT of a token request was not acknowledged: did it happen? (I22)

Not here: what the client is answered (:mod:`.endpoint`).
"""

from __future__ import annotations

from functools import partial
from typing import Final

from django.db import DatabaseError, InterfaceError, connections

from django_lazyauth.kit.wait import wait_for
from django_lazyauth.toolkit.models import AccessToken

#: Seconds. A COMMIT whose connection broke may still be under way: the server waits for its disk or a replica.
PATIENCE: Final = 1.0


def was_committed(access_token: AccessToken, using: str) -> bool | None:
    """Say whether the row of *access_token* stands; ``None`` where the database cannot be asked.

    It is asked over a new connection, again and again until it is there. Its checksum is looked for: nobody else
    writes that one.
    """
    return wait_for(partial(_stands, access_token, using), seconds=PATIENCE)


def _stands(access_token: AccessToken, using: str) -> bool | None:
    connection = connections[using]
    try:
        if not connection.in_atomic_block:
            connection.close()
        rows = type(access_token)._base_manager.using(using)
        return bool(rows.filter(token_checksum=access_token.token_checksum).exists())
    except (DatabaseError, InterfaceError):
        return None
