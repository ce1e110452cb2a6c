"""When was a client last used? A used client takes no slot and never expires."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.toolkit import clients

#: How exact ``last_used_at`` is. It also bounds how often a row is written.
RESOLUTION = timedelta(hours=1)


def note_use(client: clients.Client) -> None:
    """Record in the caller's transaction that a person allowed *client*. Mostly this needs no statement."""
    now = timezone.now()
    registration = clients.registration_of(client)
    if registration is None:
        row = ClientRegistration(client=client, source=ClientSource.ELSEWHERE, last_used_at=now)
        ClientRegistration.objects.bulk_create([row], ignore_conflicts=True)
    elif registration.last_used_at is None or registration.last_used_at < now - RESOLUTION:
        ClientRegistration.objects.filter(pk=registration.pk).update(
            last_used_at=now, expires_at=None, slot=None
        )
