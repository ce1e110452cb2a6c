"""A family of refresh tokens, and the access tokens that came with them."""

from __future__ import annotations

from uuid import UUID

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
    refresh = get_refresh_token_model().objects.filter(token_family=family)
    access = get_access_token_model().objects.filter(pk__in=refresh.values("access_token_id"))
    return bool(refresh.filter(revoked__isnull=True).exists() or access.exists())


def can_refresh(family: UUID) -> bool:
    """Say whether *family* has a refresh token that works."""
    refresh = get_refresh_token_model().objects.filter(token_family=family)
    return bool(refresh.filter(revoked__isnull=True, access_token__isnull=False).exists())
