"""A family of refresh tokens, and the access tokens that came with them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import router
from oauth2_provider.models import get_access_token_model, get_refresh_token_model

from django_lazyauth.models import SealedSuccessor


def revoke(family: UUID) -> None:
    """Revoke every refresh token of *family* and delete its access tokens, in the caller's transaction.

    With them goes what is kept for a retry: it holds tokens of the family (I11).
    """
    get_refresh_token_model().revoke_family(family)
    SealedSuccessor.objects.of_family(family).delete()


def is_alive(family: UUID) -> bool:
    """Say whether any token of *family* still works."""
    refresh = _refresh_tokens(family)
    access = (
        get_access_token_model().objects.using(refresh.db).filter(pk__in=refresh.values("access_token_id"))
    )
    return bool(refresh.filter(revoked__isnull=True).exists() or access.exists())


def _refresh_tokens(family: UUID) -> Any:
    """Return the rows of *family*, from where they are written: a replica may be behind."""
    model = get_refresh_token_model()
    return model.objects.using(router.db_for_write(model)).filter(token_family=family)
