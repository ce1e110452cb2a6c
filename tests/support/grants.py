"""The grants behind sessions: where the tokens of an upstream stand."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from django_lazyauth.models import UpstreamGrant, UpstreamToken


def grants_of(**session: Any) -> QuerySet[UpstreamGrant]:
    """Return the grants that the rows of these sessions point to."""
    sessions = UpstreamToken.objects.filter(**session)
    return UpstreamGrant.objects.filter(pk__in=list(sessions.values_list("grant_id", flat=True)))
