"""The logo of a client, as it was when an operator stood for the client."""

from __future__ import annotations

from django.db import models

from .client import ClientRegistration


class ClientLogo(models.Model):
    """A picture of at most 64 KiB. Its digest stands in the registration, which is read with each client."""

    registration = models.OneToOneField(
        ClientRegistration, on_delete=models.CASCADE, primary_key=True, related_name="logo"
    )
    media_type = models.CharField(max_length=16)
    content = models.BinaryField()

    def __str__(self) -> str:
        return str(self.registration_id)
