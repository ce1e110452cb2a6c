"""The row behind an access token, with its user and its client, by a SELECT that is compiled once.

Each request with a bearer runs it, so it is no query set: Django would take longer to compile that than the database
to answer.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import router
from django.db.models import F, Model
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from django_lazyauth.models.fields import digest
from django_lazyauth.models.prepared_select import ASKED_FOR, PreparedSelect
from django_lazyauth.toolkit import clients

DISABLED_AT, EXPIRES_AT = "client_disabled_at", "client_expires_at"


def find_row(token: str) -> Any | None:
    """Return the row of *token*, good or not, from where tokens are written: a revocation counts at once (I11)."""
    model = get_access_token_model()
    return _noted(_select(model, router.db_for_write(model)).get(digest(token)))


def find_row_beside_client(token: str, client_id: str) -> tuple[Any | None, clients.Client | None]:
    """Return the row of *token* and the client *client_id*, which need not be the token's, in one query.

    Of an unknown client no token is looked up.
    """
    if not clients.is_client_id(client_id):
        return None, None
    model = get_access_token_model()
    using = router.db_for_write(model)
    client, row = clients.select(using).get_beside(client_id, _select(model, using), digest(token))
    return _noted(row), client


def _noted(row: Any | None) -> Any | None:
    """Note beside the client of *row* what the same query learned of its registration."""
    if row is not None and row.application is not None:
        disabled_at, expires_at = getattr(row, DISABLED_AT), getattr(row, EXPIRES_AT)
        is_over = disabled_at is not None or (expires_at is not None and expires_at <= timezone.now())
        clients.note_is_over(row.application, is_over)
    return row


@cache
def _select(model: type[Model], using: str) -> PreparedSelect[Any]:
    registration = f"application__{clients.REGISTRATION}"
    return PreparedSelect(
        model._default_manager.using(using)
        .annotate(
            **{
                DISABLED_AT: F(f"{registration}__disabled_at"),
                EXPIRES_AT: F(f"{registration}__expires_at"),
            }
        )
        .filter(token_checksum=ASKED_FOR),
        related=("user", "application"),
        annotations=(DISABLED_AT, EXPIRES_AT),
    )
