"""Clients whose id is the URL of a document that describes them (draft-ietf-oauth-client-id-metadata-document).

The request to a stranger's server goes out through our own fetcher, unless the host chose one. It happens only when a
flow asks for it: nowhere else does a client id cause a request. DOT's settings of permissions, sizes and times hold.

Not here: what a document says (``clients/metadata.py``).
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_noop
from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_grant_model,
    get_refresh_token_model,
)
from oauth2_provider.settings import oauth2_settings
from oauthlib.common import Request

from django_lazyauth.errors import TemporarilyUnavailable, sayable
from django_lazyauth.kit import fetch

from .clients import REGISTRATION, Client, is_client_id
from .moved import dot_module
from .settings import metadata_documents_enabled

cimd = dot_module("cimd", moves_to="authorization_server")
SafeMetadataFetcher: Any = cimd.SafeMetadataFetcher

logger = logging.getLogger("django_lazyauth.registration")

#: What a person reads. The client, which nothing is known of, is told nothing.
NOT_NOW = gettext_noop(
    "The description of this application cannot be read at the moment. Try again in a few minutes."
)
#: What whoever makes the client reads, whatever failed: the document is fetched again in a minute or so.
UNREADABLE = "The client_id is the URL of a document that cannot be fetched, or that is no JSON object."
#: Characters of what a fetcher says. It may quote a stranger's server.
MAX_LOGGED = 200
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


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document as it was fetched, and until when it is fresh."""

    document: Any
    fresh_until: datetime


def is_document(client_id: str) -> bool:
    """Say whether *client_id* is the URL of a document, and such clients are let in."""
    return metadata_documents_enabled() and is_client_id(client_id) and cimd.is_cimd_client_id(client_id)


def is_stale(client: Client) -> bool:
    """Say whether what the document said is older than its server lets it become."""
    return client.cimd_expires_at is not None and client.cimd_expires_at < timezone.now()


def fetch_document(client_id: str, http_request: HttpRequest) -> Fetched | None:
    """Return the document; ``None`` if there is none. Outside transactions.

    Raises:
        TemporarilyUnavailable: It could not be looked up, and that says nothing about the document.
    """
    request = Request(http_request.path, headers=dict(http_request.headers.items()))
    try:
        if (
            not cimd._registration_permitted(request, client_id)
            or cache.get(_backoff_key(client_id)) is not None
        ):
            return None
        with cimd._fetch_slot() as is_free:
            if not is_free:
                raise TemporarilyUnavailable(NOT_NOW)
            document, max_age = oauth2_settings.CIMD_METADATA_FETCHER().fetch(client_id)
        return Fetched(document, timezone.now() + timedelta(seconds=max_age))
    except TemporarilyUnavailable:
        raise
    except cimd.CIMDError as error:
        # Only the operator reads what exactly failed: it may name an address in this network.
        logger.info("a client's document cannot be used: %s", sayable(str(error))[:MAX_LOGGED])
        back_off(client_id, UNREADABLE)
    except Exception as error:  # noqa: BLE001 - a host's fetcher and permission, and backends of the cache
        logger.error("a client's document was not looked up: %s", type(error).__name__)
        raise TemporarilyUnavailable(NOT_NOW) from None
    return None


def back_off(client_id: str, reason: str = "") -> None:
    """Fetch this document not again for a while, and remember why it cannot be used. Without a cache: nothing."""
    try:
        cache.set(_backoff_key(client_id), reason, oauth2_settings.CIMD_FAILURE_BACKOFF_SECONDS)
    except Exception as error:  # noqa: BLE001 - backends of the cache raise errors of their own
        logger.error("the failure of a client's document was not kept: %s", type(error).__name__)


def why_refused(client_id: str) -> str:
    """Return why the document could not be used just now; empty if that is not known."""
    try:
        return str(cache.get(_backoff_key(client_id)) or "")
    except Exception as error:  # noqa: BLE001 - the same
        logger.error("the failure of a client's document was not read: %s", type(error).__name__)
        return ""


def _backoff_key(client_id: str) -> str:
    return f"lazyauth:document:{hashlib.sha256(client_id.encode()).hexdigest()}"


def unregistered(rows: QuerySet[Any], before: datetime) -> list[Any]:
    """Return the keys of clients among *rows* that come from documents, took no place, and that nobody uses.

    The process that fetched them ended in between. One that holds tokens was there before this app: it stays.
    """
    model = get_application_model()
    alone = rows.filter(
        registration_source=model.RegistrationSource.CIMD,
        created__lt=before,
        **{f"{REGISTRATION}__isnull": True},
    )
    keys = list(alone.values_list("pk", flat=True))
    unused = rows.filter(~_uses(OuterRef("pk")), pk__in=keys)
    return list(unused.values_list("pk", flat=True)) if keys else []


def is_used(client: Client) -> bool:
    """Say whether somebody allowed *client* something that still stands."""
    return bool(get_application_model().objects.filter(_uses(OuterRef("pk")), pk=client.pk).exists())


def _uses(client_pk: Any) -> Any:
    rows = (get_access_token_model(), get_refresh_token_model(), get_grant_model())
    exist = [Exists(model.objects.filter(application=client_pk)) for model in rows]
    return exist[0] | exist[1] | exist[2]
