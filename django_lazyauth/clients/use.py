"""Note that somebody used a client: from then on it is active, and no cap or expiry touches it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.toolkit import clients

#: How exactly an operator sees when a client was last used; it also bounds how often a row is written.
RESOLUTION = timedelta(hours=1)


def note_use(client: clients.Client) -> None:
    """Write down that a person allowed *client*, in the caller's transaction. Mostly no statement at all."""
    now = timezone.now()
    registration = clients.registration_of(client)
    if registration is None:
        row = ClientRegistration(client=client, source=ClientSource.ELSEWHERE, last_used_at=now)
        ClientRegistration.objects.bulk_create([row], ignore_conflicts=True)
    elif registration.last_used_at is None or registration.last_used_at < now - RESOLUTION:
        ClientRegistration.objects.filter(pk=registration.pk).update(
            last_used_at=now, expires_at=None, slot=None
        )
