"""Clients that an operator makes outside of the admin."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from oauth2_provider.models import AbstractApplication, get_application_model

from .clients import Client


class OwnGrant(Enum):
    """How an operator's client gets its first tokens."""

    CODE = "a person signs in, and it redeems the code (RFC 6749 §4.1)"
    MACHINE = "it gets tokens for itself, and has a secret (RFC 6749 §4.4)"
    DEVICE = "it shows a code that its person types elsewhere (RFC 8628)"


_GRANTS: Final = {
    OwnGrant.CODE: AbstractApplication.GRANT_AUTHORIZATION_CODE,
    OwnGrant.MACHINE: AbstractApplication.GRANT_CLIENT_CREDENTIALS,
    OwnGrant.DEVICE: AbstractApplication.GRANT_DEVICE_CODE,
}


def add_own_client(
    client_id: str,
    name: str,
    *,
    redirect_uris: Sequence[str],
    post_logout_redirect_uris: Sequence[str],
    secret_digest: str,
    grant: OwnGrant,
    is_trusted: bool,
) -> Client:
    """Write and return the row of an operator's client.

    Args:
        secret_digest: Empty for a client without a secret.
        grant: How it gets its first tokens.
        is_trusted: Nobody is asked for consent.
    """
    model = AbstractApplication
    client = get_application_model()(
        client_id=client_id,
        name=name,
        client_type=model.CLIENT_CONFIDENTIAL if secret_digest else model.CLIENT_PUBLIC,
        authorization_grant_type=_GRANTS[grant],
        redirect_uris=" ".join(redirect_uris),
        post_logout_redirect_uris=" ".join(post_logout_redirect_uris),
        registration_source=model.RegistrationSource.MANUAL,
        skip_authorization=is_trusted,
        client_secret=secret_digest,
        # It is a digest already.
        hash_client_secret=False,
    )
    client.save(force_insert=True)
    return client
