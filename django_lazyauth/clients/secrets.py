"""Client secrets at rest: one salted SHA-256 for random ones, Django's password hash for the rest.

Stretching protects secrets that people can guess. A random secret of 240 bits or more cannot be guessed, and
stretching it makes every token request a hundred times dearer (a way to exhaust the server, too).
"""

from __future__ import annotations

import hmac

from django.contrib.auth.hashers import check_password, identify_hasher

from django_lazyauth.kit.secret_digest import digest_secret, is_digest, secret_matches
from django_lazyauth.toolkit import clients

#: DOT makes 128 characters. Below this a secret may be somebody's choice, and stays stretched.
MIN_RANDOM_LENGTH = 40


def deserves_digest(secret: str) -> bool:
    """Say whether a secret is long enough to be a random one."""
    return len(secret) >= MIN_RANDOM_LENGTH


def secret_proves(secret: str, client: clients.Client) -> bool:
    """Say whether *secret* is that of *client*, whichever way it is kept. An empty one proves nothing."""
    stored: str = client.client_secret
    if not secret or not stored:
        return False
    if is_digest(stored):
        return secret_matches(secret, stored)
    try:
        identify_hasher(stored)
    except ValueError:
        # Kept as it is: an operator turned hashing off for this client.
        return hmac.compare_digest(secret.encode(), stored.encode())
    return check_password(secret, stored)


def upgrade_secret(secret: str, client: clients.Client) -> None:
    """Replace the stretched hash of a random secret by one salted digest, at its first use."""
    if (
        client.hash_client_secret
        and clients.is_confidential(client)
        and deserves_digest(secret)
        and not is_digest(client.client_secret)
    ):
        client.client_secret, client.hash_client_secret = digest_secret(secret), False
        clients.set_secret_digest(client.pk, client.client_secret)
