"""Clients that an operator makes outside of the admin."""

from __future__ import annotations

from collections.abc import Sequence

from oauth2_provider.models import AbstractApplication, get_application_model

from .clients import Client


def add_own_client(
    client_id: str,
    name: str,
    *,
    redirect_uris: Sequence[str],
    post_logout_redirect_uris: Sequence[str],
    secret_digest: str,
    is_machine: bool,
    is_trusted: bool,
) -> Client:
    """Write and return the row of an operator's client.

    Args:
        secret_digest: Empty for a client without a secret.
        is_machine: It gets tokens for itself, and signs nobody in.
        is_trusted: Nobody is asked for consent.
    """
    model = AbstractApplication
    client = get_application_model()(
        client_id=client_id,
        name=name,
        client_type=model.CLIENT_CONFIDENTIAL if secret_digest else model.CLIENT_PUBLIC,
        authorization_grant_type=model.GRANT_CLIENT_CREDENTIALS
        if is_machine
        else model.GRANT_AUTHORIZATION_CODE,
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
