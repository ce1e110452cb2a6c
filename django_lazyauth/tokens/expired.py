"""Which of DOT's token rows nobody can use any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.toolkit.models import get_access_token_model, get_id_token_model, get_refresh_token_model


def expired_tokens(now: datetime) -> list[QuerySet[Any]]:
    """Return query sets to delete, in this order.

    A spent refresh token stays as long as its family may live: its replay must be recognised. No refresh token goes
    before its access token has expired: the end of the session finds the access token by it (I11). An access token
    stays while a live refresh token hangs on it. An ID token goes last: deleting it would take its access
    token along.
    """
    access_lifetime = lazyauth_settings.access_token_lifetime
    idle_since = now - max(lazyauth_settings.refresh_token_idle_lifetime, access_lifetime)
    old_since = now - max(lazyauth_settings.refresh_token_lifetime, access_lifetime)
    refresh = get_refresh_token_model().objects.filter(
        Q(created__lt=old_since) | Q(revoked__isnull=True, created__lt=idle_since)
    )
    access = get_access_token_model().objects.filter(
        Q(refresh_token__isnull=True) | Q(refresh_token__revoked__isnull=False), expires__lt=now
    )
    identity = get_id_token_model().objects.filter(access_token__isnull=True, expires__lt=now)
    return [refresh, access, identity]
