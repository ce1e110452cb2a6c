"""How a client may authenticate, and with which keys (RFC 7591 §2).

A client that registered itself says so in its metadata. For an operator's client the same members stand in the row
beside it. Without them a client authenticates as django-oauth-toolkit's ``client_type`` has it.

The next release of django-oauth-toolkit has columns of its own for this, and a host's model may have them today. Where
both say something, the stricter counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from oauth2_provider.models import AbstractApplication

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

#: Where DOT's next release keeps keys. Its column for the method has the name of the member.
_KEY_COLUMNS: Final = {"jwks": "client_jwks", "jwks_uri": "client_jwks_uri"}
COLUMNS: Final = (METHOD_MEMBER, *_KEY_COLUMNS.values())


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


def metadata_of(client: Client) -> Mapping[str, Any]:
    """Return what stands beside *client*, as strict as its own columns are."""
    registration = registration_of(client)
    beside: Mapping[str, Any] = registration.metadata if registration is not None else {}
    column = column_method(client)
    if not column:
        return beside
    if BY_KEY in methods_in(beside):
        return {name: beside[name] for name in beside if name != METHODS_MEMBER} | {METHOD_MEMBER: BY_KEY}
    replaced = (METHODS_MEMBER, *_KEY_COLUMNS)
    return {name: beside[name] for name in beside if name not in replaced} | {
        METHOD_MEMBER: column,
        **_keys_in_columns(client),
    }


def column_method(client: Client) -> str:
    """Return the method in the column of *client*, if it rules out a secret that is sent; else an empty text."""
    method = getattr(client, METHOD_MEMBER, "")
    return method if isinstance(method, str) and method not in (*BY_SECRET, NO_METHOD) else ""


def _keys_in_columns(client: Client) -> dict[str, Any]:
    said = {member: getattr(client, column, "") for member, column in _KEY_COLUMNS.items()}
    found = {member: value for member, value in said.items() if value}
    if isinstance(text := found.get("jwks"), str):
        try:
            found["jwks"] = json.loads(text)
        except (ValueError, RecursionError):
            found["jwks"] = {}  # No key set, so no assertion holds.
    return found


def may_use_key(client: Client) -> bool:
    """Say whether *client* may authenticate with an assertion."""
    return BY_KEY in methods_in(metadata_of(client))


def may_use_secret(client: Client) -> bool:
    """Say whether *client* may authenticate with a secret. One with keys may only if it names that method too."""
    methods = methods_in(metadata_of(client))
    return not _has_stronger(methods) or not set(BY_SECRET).isdisjoint(methods)


def must_prove(client: Client) -> bool:
    """Say whether *client* gets nothing without credentials."""
    methods = methods_in(metadata_of(client))
    return is_confidential(client) or (_has_stronger(methods) and NO_METHOD not in methods)


def toolkit_asks_for_assertion(client: Client) -> bool:
    """Say whether DOT's own endpoints take nothing of *client* but an assertion, by a method that holds here too."""
    methods = getattr(AbstractApplication, "JWT_AUTH_METHODS", ())  # Its next release has it.
    column = column_method(client)
    return column in methods and column in methods_in(metadata_of(client))


def is_served(client: Client) -> bool:
    """Say whether *client* has a method that is served here: its column may name another."""
    methods = methods_in(metadata_of(client))
    return not methods or not set(METHODS).isdisjoint(methods)


def _has_stronger(methods: tuple[str, ...]) -> bool:
    """Say whether *methods* name one that sends no secret: with a key, or one that is not served here."""
    return not set(methods) <= {*BY_SECRET, NO_METHOD}


def signing_algorithm(client: Client) -> str:
    """Return the only algorithm that *client* signs assertions with; empty if it named none."""
    algorithm = metadata_of(client).get(ALGORITHM_MEMBER)
    return algorithm if isinstance(algorithm, str) else ""


def given_keys(client: Client) -> Any:
    """Return the key set that stands in the client's metadata; ``None`` if there is none."""
    return metadata_of(client).get("jwks")


def keys_uri(client: Client) -> str:
    """Return where the keys of *client* are; empty if nowhere."""
    uri = metadata_of(client).get("jwks_uri")
    return uri if isinstance(uri, str) else ""
