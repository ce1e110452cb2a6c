"""The logo of a client: fetched once after an operator stood for the client, kept here, shown from our own origin.

A page that named the client's own host would tell it who signs in here (I14). A logo that changes there changes
nothing here until an operator fetches it again.

Not here: which client is shown with it (``web/client_card``), and how it is served (``web/design/client_logo``).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from django.db import router, transaction

from django_lazyauth.kit import fetch
from django_lazyauth.kit.background import Threads
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import ClientLogo, ClientRegistration
from django_lazyauth.toolkit import clients

logger = logging.getLogger("django_lazyauth.clients")

MEMBER: Final = "logo_uri"
#: Bytes of a logo.
LIMIT: Final = 64 * 1024
#: How a picture begins → its type. No SVG: it can hold scripts, and names other files.
KINDS: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_threads = Threads("logos", threads=1, queue=100, daemon=True)


def address_of(client: clients.Client) -> str:
    """Return where the logo of *client* is; empty where it named none, or nobody stands for it."""
    registration = clients.registration_of(client)
    uri = registration.metadata.get(MEMBER) if registration is not None else None
    return uri if isinstance(uri, str) and clients.is_verified(client) else ""


def fetch_soon(client_pks: Iterable[Any]) -> None:
    """Fetch the logos of these clients in the background. What is lost with the process, an operator fetches again."""
    for pk in client_pks:
        _threads.submit(partial(fetch_now, pk))


def fetch_now(client_pk: Any) -> bool:
    """Fetch and keep the logo of a client, outside any transaction; ``False`` where there is none that can be shown.

    The last one stays while another cannot be fetched.
    """
    client = _load(client_pk)
    uri = address_of(client) if client is not None else ""
    if not uri:
        return False
    try:
        answer = fetch.get(uri, policy=fetch.STRANGER, max_bytes=LIMIT, headers={"Accept": "image/*"})
    except fetch.FetchError as error:
        logger.warning("The logo of client %s was not fetched: %s", client_pk, error.reason)
        return False
    media_type = media_type_of(answer.body) if answer.ok else ""
    if not media_type:
        logger.warning(
            "The logo of client %s is no picture that is shown: status %d", client_pk, answer.status
        )
        return False
    return _keep(client_pk, uri, media_type, answer.body)


def media_type_of(content: bytes) -> str:
    """Return the type of a picture by how it begins; empty for anything else. What its server says does not count."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), "")


def _load(client_pk: Any) -> clients.Client | None:
    return (
        clients.get_client_model().objects.select_related(clients.REGISTRATION).filter(pk=client_pk).first()
    )


@retries_on_conflict
def _keep(client_pk: Any, uri: str, media_type: str, content: bytes) -> bool:
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        row = ClientRegistration.objects.select_for_update().filter(client_id=client_pk).first()
        client = _load(client_pk)
        if row is None or client is None or address_of(client) != uri:
            # It said something else meanwhile, or nobody stands for it any more.
            return False
        kept = {"media_type": media_type, "content": content}
        ClientLogo.objects.update_or_create(registration=row, defaults=kept)
        digest = hashlib.sha256(content).hexdigest()
        ClientRegistration.objects.filter(pk=row.pk).update(logo_digest=digest)
    return True
