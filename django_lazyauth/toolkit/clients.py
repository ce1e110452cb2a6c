"""What the flows and pages need to know of an OAuth client, whatever model the host swapped in."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from oauth2_provider.models import (
    AbstractApplication,
    get_access_token_model,
    get_application_model,
    get_id_token_model,
    get_refresh_token_model,
)
from oauth2_provider.settings import oauth2_settings

from .redirects import is_safe_redirect_uri, redirect_uri_matches

#: A row of the client model in force; DOT publishes no types, and the host may have swapped the model.
Client: TypeAlias = Any


def get_client_model() -> Any:
    """Return the client model in force."""
    return get_application_model()


def token_models() -> list[Any]:
    """Return the models that an exchange writes besides ours."""
    return [
        get_application_model(),
        get_access_token_model(),
        get_refresh_token_model(),
        get_id_token_model(),
    ]


def find_client(client_id: str) -> Client | None:
    """Return the usable client of this id, or ``None``. One query."""
    client = get_application_model().objects.filter(client_id=client_id).first()
    if client is None or not client.is_usable(None):
        return None
    return client


def redirect_uri_allowed(client: Client, uri: str) -> bool:
    """Say whether *client* registered *uri*, and *uri* is of a kind that is safe to redirect to."""
    return is_safe_redirect_uri(uri, extra_schemes=oauth2_settings.ALLOWED_REDIRECT_URI_SCHEMES) and any(
        redirect_uri_matches(uri, registered) for registered in client.redirect_uris.split()
    )


def is_self_registered(client: Client) -> bool:
    """Say whether a stranger brought this client (RFC 7591 or a metadata document), not an operator."""
    return bool(client.registration_source != AbstractApplication.RegistrationSource.MANUAL)


def may_skip_consent(client: Client) -> bool:
    """Say whether the operator waived consent; never for a client that registered itself (I8)."""
    return bool(client.skip_authorization) and not is_self_registered(client)


def metadata_digest(client: Client) -> str:
    """Return the digest of what the client says about itself; consent is asked anew when it changes."""
    said = [client.name, sorted(client.redirect_uris.split()), client.client_type]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def origin_allowed(client: Client, origin: str) -> bool:
    """Say whether scripts of *origin* may read answers meant for *client*: it owns one of its redirect URIs."""
    uris = [*client.redirect_uris.split(), *client.allowed_origins.split()]
    return any(_origin_of(uri) == origin for uri in uris)


def _origin_of(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:  # What an operator typed may be no URI at all; then it has no origin either.
        return ""
    return f"{parts.scheme}://{parts.netloc}"
