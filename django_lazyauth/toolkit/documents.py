"""Clients whose id is the URL of a document that describes them (draft-ietf-oauth-client-id-metadata-document).

DOT reads the document and keeps the client; the request to a stranger's server goes out through our own fetcher,
unless the host chose one. Both happen only when a flow asks for it: nowhere else does a client id cause a request.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_grant_model,
    get_refresh_token_model,
)
from oauth2_provider.settings import oauth2_settings
from oauthlib.common import Request

from django_lazyauth.kit import fetch

from .clients import REGISTRATION, Client, is_client_id
from .moved import dot_module

cimd = dot_module("cimd", moves_to="authorization_server")
SafeMetadataFetcher: Any = cimd.SafeMetadataFetcher

logger = logging.getLogger("django_lazyauth.registration")

ACCEPT = "application/json, application/*+json"


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as DOT reads one: status, headers by their usual names, and a body to read so much of."""

    response: fetch.Response

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> dict[str, str]:
        names = {"content-type": "Content-Type", "cache-control": "Cache-Control"}
        return {names.get(name, name): value for name, value in self.response.headers.items()}

    def read(self, size: int) -> bytes:
        return self.response.body[:size]


class DocumentFetcher(SafeMetadataFetcher):
    """Fetches a document under the rules for a URL that a stranger chose (I14): one deadline, DNS included."""

    def fetch(self, client_id: str) -> tuple[dict[str, Any], int]:
        """Return the document and for how many seconds it is fresh.

        Raises:
            CIMDError: There is none that could be used.
        """
        cimd._validate_client_id_url(client_id)
        try:
            response = fetch.get(
                client_id,
                policy=fetch.STRANGER,
                max_bytes=oauth2_settings.CIMD_MAX_DOCUMENT_SIZE,
                headers={"Accept": ACCEPT},
                deadline=float(oauth2_settings.CIMD_FETCH_TIMEOUT_SECONDS),
            )
        except fetch.FetchError as error:
            raise cimd.CIMDError(f"could not fetch client_id document: {error.reason}") from None
        document: tuple[dict[str, Any], int] = self._read_document(_Answer(response))
        return document


def is_document(client_id: str) -> bool:
    """Say whether *client_id* is the URL of a document, and such clients are let in (``CIMD_ENABLED``)."""
    return (
        bool(oauth2_settings.CIMD_ENABLED) and is_client_id(client_id) and cimd.is_cimd_client_id(client_id)
    )


def is_stale(client: Client) -> bool:
    """Say whether what the document said is older than its server lets it become."""
    return client.cimd_expires_at is not None and client.cimd_expires_at < timezone.now()


def resolve(client_id: str, http_request: HttpRequest) -> Client | None:
    """Fetch the document and keep the client; ``None`` if there is none that could be used. Outside transactions."""
    request = Request(http_request.path, headers=dict(http_request.headers.items()))
    try:
        return cimd.resolve_cimd_application(client_id, request)
    except Exception as error:  # noqa: BLE001 - it asks the cache, whose backends raise errors of their own.
        logger.error("a client's document was not looked up: %s", type(error).__name__)
        return None


def unregistered(before: datetime) -> QuerySet[Any]:
    """Return clients of documents that took no place and that nobody uses.

    The process that fetched them ended in between. One that holds tokens was there before this app: it stays.
    """
    model = get_application_model()
    return model.objects.filter(  # type: ignore[no-any-return]  # DOT publishes no types.
        ~_uses(OuterRef("pk")),
        registration_source=model.RegistrationSource.CIMD,
        created__lt=before,
        **{f"{REGISTRATION}__isnull": True},
    )


def is_used(client: Client) -> bool:
    """Say whether somebody allowed *client* something that still stands."""
    return bool(get_application_model().objects.filter(_uses(OuterRef("pk")), pk=client.pk).exists())


def _uses(client_pk: Any) -> Any:
    rows = (get_access_token_model(), get_refresh_token_model(), get_grant_model())
    exist = [Exists(model.objects.filter(application=client_pk)) for model in rows]
    return exist[0] | exist[1] | exist[2]
