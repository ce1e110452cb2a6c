"""Who asks, at an endpoint that is for confidential clients alone (RFC 6749 §2.3.1), without oauthlib's machinery.

The rules are the validator's: which secret is right, which client may do anything, when a stretched hash is replaced.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from types import SimpleNamespace
from urllib.parse import unquote_plus

from django.http import HttpRequest
from oauth2_provider.models import AbstractApplication

from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.validator import LazyAuthValidator


def authenticate_confidential(
    http_request: HttpRequest, load: Callable[[str], clients.Client | None] = clients.load_client
) -> clients.Client | None:
    """Return the confidential client that a checked form comes from, or ``None``.

    A public client has nothing to authenticate with: DOT would let it pass with its empty secret.

    Args:
        http_request: With credentials in the header or in the form.
        load: Client id → client, with its registration; called once, with whatever was sent.
    """
    credentials = _from_header(http_request) or _from_body(http_request)
    if credentials is None:
        return None
    client_id, readings = credentials
    client = load(client_id)
    if client is None or not clients.is_usable(client):
        return None
    if client.client_type != AbstractApplication.CLIENT_CONFIDENTIAL:
        return None
    validator = LazyAuthValidator()
    for secret in readings:
        if validator._check_secret(secret, client.client_secret):
            validator._upgrade_secret(SimpleNamespace(client=client, client_secret=secret, headers={}))
            return client
    return None


#: A client id and how its secret may be read.
Credentials = tuple[str, tuple[str, ...]]


def _from_header(http_request: HttpRequest) -> Credentials | None:
    """Return the credentials of a Basic header: form-encoded, or the secret as it is (see the validator)."""
    scheme, _, encoded = http_request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, separator, secret = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return None
    readings = tuple(dict.fromkeys((unquote_plus(secret), secret)))
    return (unquote_plus(client_id), readings) if separator else None


def _from_body(http_request: HttpRequest) -> Credentials | None:
    client_id = http_request.POST.get("client_id", "")
    return (client_id, (http_request.POST.get("client_secret", ""),)) if client_id else None
