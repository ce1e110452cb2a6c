"""Which scopes a client may ask for: ours, those of django-oauth-toolkit's scopes backend, and the upstream scopes.

Not here: what a person agreed to (``authorize/consent.py``).
"""

from __future__ import annotations

from typing import Any

from oauth2_provider.settings import oauth2_settings

from django_lazyauth.conf import OF_THE_SIGN_IN, lazyauth_settings

from . import clients
from .moved import dot_module

_scopes = dot_module("scopes", moves_to="core")
get_scopes_backend, SettingsScopes = _scopes.get_scopes_backend, _scopes.SettingsScopes

#: Libraries add it wherever it is advertised. A client that may not have it gets the rest of its scopes.
OFFLINE_ACCESS = "offline_access"
#: Characters of a scope in an error description.
MAX_SHOWN = 100


def available_scopes(client: Any, request: Any = None) -> set[str]:
    """Return the scopes that *client* may ask for.

    Args:
        client: ``None`` for what this site offers at all.
        request: Passed on to the host's scopes backend.
    """
    backend = get_scopes_backend().get_available_scopes(application=client, request=request)
    known = set(lazyauth_settings.scopes) | set(backend) | upstream_scopes(client)
    bound = bound_of(client)
    return known if bound is None else known & bound


def bound_of(client: Any) -> frozenset[str] | None:
    """Return the scopes that *client* may have at most; ``None`` if nothing bounds it.

    A client that registered itself over HTTP (RFC 7591) may have the scopes of this site's resources, too. MCP clients
    register with what the first challenge named, and ask the person for more at the next.
    """
    registered = clients.registered_scopes(client)
    if registered is None or clients.is_of_document(client):
        return registered
    return registered | (frozenset(lazyauth_settings.scopes) - OF_THE_SIGN_IN)


def advertised_scopes() -> list[str]:
    """Return ``scopes_supported`` (RFC 8414 §2): what this site offers to everybody.

    django-oauth-toolkit offers ``read`` and ``write`` where its settings name no scope. A client may still ask for
    them, because a site may have lived with this default. They mean nothing here, so they are not advertised.
    """
    offered = available_scopes(None)
    if "SCOPES" not in oauth2_settings.user_settings and issubclass(
        oauth2_settings.SCOPES_BACKEND_CLASS, SettingsScopes
    ):
        offered -= set(oauth2_settings.defaults["SCOPES"]) - set(lazyauth_settings.scopes)
    return sorted(offered)


def host_description(scope: str) -> str:
    """Return how ``SCOPES`` of ``OAUTH2_PROVIDER``, or the host's scopes backend, describes *scope*; else *scope*."""
    return str(get_scopes_backend().get_all_scopes().get(scope) or scope)


def refusal_of(client: Any, scopes: list[str], request: Any = None) -> str:
    """Say why *client* may not ask for all of *scopes* (RFC 6749 §3.3); empty if it may.

    ``offline_access`` is never refused.
    """
    available = available_scopes(client, request)
    refused = [scope for scope in scopes if scope not in available and scope != OFFLINE_ACCESS]
    if not refused:
        return ""
    if not refused[0]:
        return "One blank separates two scopes."
    if refused[0] in available_scopes(None, request):
        return f"This client is not registered for the scope {refused[0][:MAX_SHOWN]}."
    return f"There is no scope {refused[0][:MAX_SHOWN]} for this client here."


def narrow(client: Any, scopes: list[str]) -> list[str]:
    """Return those of *scopes* that *client* may have. It may have given some up since."""
    bound = bound_of(client)
    return scopes if bound is None else [scope for scope in scopes if scope in bound]


def default_scopes(client: Any, request: Any = None) -> list[str]:
    """Return the scopes of a request that names none (RFC 6749 §3.3)."""
    available = available_scopes(client, request)
    defaults = [scope for scope in lazyauth_settings.default_client_scopes if scope in available]
    # A client that registered none of the defaults gets what it registered.
    return defaults or sorted(clients.registered_scopes(client) or ())


def requested_scopes(scope: str) -> list[str]:
    """Return the scopes in a ``scope`` parameter (RFC 6749 §3.3).

    Blanks separate; two in a row leave an empty scope between them, which no client may ask for.
    """
    return scope.strip().split(" ")


def upstream_scopes(client: Any) -> set[str]:
    """Return the scopes by which *client* may fetch upstream tokens. There are none unless the operator named it."""
    allowed = lazyauth_settings.upstream_token_clients
    return {f"upstream:{provider}" for provider in allowed.get(getattr(client, "client_id", ""), ())}


def extra_schemes() -> frozenset[str]:
    """Return the private-use URI schemes without a dot that redirect URIs may have here."""
    return frozenset({*lazyauth_settings.app_schemes, *oauth2_settings.ALLOWED_REDIRECT_URI_SCHEMES})
