"""How a client may authenticate, and with which keys (RFC 7591 §2).

A client that registered itself says so in its metadata. For an operator's client the same members stand in the row
beside it. Without them a client authenticates as django-oauth-toolkit's ``client_type`` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .clients import Client, is_confidential, registration_of

BY_KEY: Final = "private_key_jwt"
BY_SECRET: Final = ("client_secret_basic", "client_secret_post")
NO_METHOD: Final = "none"
#: Every method that is served, the strongest first.
METHODS: Final = (BY_KEY, *BY_SECRET, NO_METHOD)
#: Those of a client that has to prove itself.
PROVING_METHODS: Final = (BY_KEY, *BY_SECRET)

METHOD_MEMBER: Final = "token_endpoint_auth_method"
METHODS_MEMBER: Final = "token_endpoint_auth_methods_supported"
ALGORITHM_MEMBER: Final = "token_endpoint_auth_signing_alg"


def methods_in(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the methods that *metadata* names, the preferred one first; nothing where it names none.

    An operator who gave a client keys and named no method meant the keys.
    """
    several = metadata.get(METHODS_MEMBER)
    if isinstance(several, list) and several:
        return tuple(several)
    if isinstance(one := metadata.get(METHOD_MEMBER), str):
        return (one,)
    return (BY_KEY,) if "jwks" in metadata or "jwks_uri" in metadata else ()


def is_public_by(metadata: Mapping[str, Any]) -> bool:
    """Say whether a client of this metadata may come without credentials (RFC 6749 §2.1)."""
    return NO_METHOD in methods_in(metadata)


def has_secret_by(metadata: Mapping[str, Any]) -> bool:
    """Say whether a client of this metadata authenticates with a secret."""
    return not set(BY_SECRET).isdisjoint(methods_in(metadata))


def _metadata(client: Client) -> Mapping[str, Any]:
    registration = registration_of(client)
    found: Mapping[str, Any] = registration.metadata if registration is not None else {}
    return found


def may_use_key(client: Client) -> bool:
    """Say whether *client* may authenticate with an assertion."""
    return BY_KEY in methods_in(_metadata(client))


def may_use_secret(client: Client) -> bool:
    """Say whether *client* may authenticate with a secret. One with keys may only if it names that method too."""
    methods = methods_in(_metadata(client))
    return BY_KEY not in methods or not set(BY_SECRET).isdisjoint(methods)


def must_prove(client: Client) -> bool:
    """Say whether *client* gets nothing without credentials."""
    methods = methods_in(_metadata(client))
    return is_confidential(client) or (BY_KEY in methods and NO_METHOD not in methods)


def signing_algorithm(client: Client) -> str:
    """Return the only algorithm that *client* signs assertions with; empty if it named none."""
    algorithm = _metadata(client).get(ALGORITHM_MEMBER)
    return algorithm if isinstance(algorithm, str) else ""


def given_keys(client: Client) -> Any:
    """Return the key set that stands in the client's metadata; ``None`` if there is none."""
    return _metadata(client).get("jwks")


def keys_uri(client: Client) -> str:
    """Return where the keys of *client* are; empty if nowhere."""
    uri = _metadata(client).get("jwks_uri")
    return uri if isinstance(uri, str) else ""
