"""Make a client of the operator's own, as the admin does."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, router, transaction

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.secret_digest import digest_secret
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.own_clients import OwnGrant, add_own_client

from .metadata import check_redirect_uris
from .registration import metadata_policy


class ClientIdTaken(LazyAuthError):
    """A client has this id."""


@dataclass(frozen=True, slots=True)
class OwnClient:
    """What the client needs to know.

    Attributes:
        secret: Shown once; only its digest is stored. Empty for a public client.
    """

    client: clients.Client
    secret: str = field(repr=False)


def create(
    name: str,
    *,
    client_id: str = "",
    redirect_uris: tuple[str, ...] = (),
    post_logout_redirect_uris: tuple[str, ...] = (),
    is_confidential: bool = False,
    grant: OwnGrant = OwnGrant.CODE,
    is_trusted: bool = False,
) -> OwnClient:
    """Write a client and return it with its secret.

    Args:
        grant: How it gets its first tokens. A machine always has a secret.
        is_trusted: Nobody is asked for consent.

    Raises:
        InvalidRedirectUri: A URI cannot be used; the error names it.
        ClientIdTaken: Another client has this id.
    """
    check_redirect_uris([*redirect_uris, *post_logout_redirect_uris], metadata_policy())
    secret = secrets.token_urlsafe(32) if is_confidential or grant is OwnGrant.MACHINE else ""
    model: Any = clients.get_client_model()
    try:
        with transaction.atomic(using=router.db_for_write(model)):
            row = add_own_client(
                client_id or secrets.token_urlsafe(16),
                name,
                redirect_uris=redirect_uris,
                post_logout_redirect_uris=post_logout_redirect_uris,
                secret_digest=digest_secret(secret) if secret else "",
                grant=grant,
                is_trusted=is_trusted,
            )
    except IntegrityError:
        if clients.load_client(client_id) is None:
            raise
        raise ClientIdTaken from None
    return OwnClient(row, secret)
