"""The credentials that follow a registration token, derived so that a lost answer can be given again (RFC 7592 §2.2).

A replacement spends the registration token. A client whose answer was lost still has the old one, and nothing else. It
sends the same request again, and within the grace it gets the same answer: the new token is a keyed hash of the old
one. So nothing has to be kept, and any store of a host can do it. The key never leaves the site, and a copy of the
database holds digests only.

Not here: whether a token is the current one (:mod:`.registration_management`).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Final

from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from .registration import Credentials

#: Seconds. A replacement can be repeated for one such step at least, and for two at most.
GRACE: Final = 30


@sensitive_variables()
def next_credentials(client_id: str, token: str) -> Credentials:
    """Return the credentials that follow *token* now."""
    return _credentials(client_id, token, _step())


@sensitive_variables()
def recent_credentials(client_id: str, token: str) -> Iterator[Credentials]:
    """Yield what may have followed *token* within the grace. Each call costs the same."""
    step = _step()
    yield from [_credentials(client_id, token, at) for at in (step, step - 1)]


def _step() -> int:
    return int(time.time()) // GRACE


@sensitive_variables()
def _credentials(client_id: str, token: str, step: int) -> Credentials:
    return Credentials(
        _derive("registration token", client_id, token, step),
        _derive("client secret", client_id, token, step),
    )


@sensitive_variables()
def _derive(purpose: str, client_id: str, token: str, step: int) -> str:
    # A line feed stands in none of the parts: a client id is printable, and a token came in a header.
    value = f"{client_id}\n{step}\n{token}"
    digest = salted_hmac(f"django_lazyauth {purpose}", value, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
