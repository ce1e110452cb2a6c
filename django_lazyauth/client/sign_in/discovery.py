"""Which server guards this address, and where are its endpoints (RFC 9728, RFC 8414)?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from ..answers import is_safe, request
from ..errors import DiscoveryFailed, NoAnswer

_CHALLENGE: Final = re.compile(r'resource_metadata="([^"]+)"')
#: What a person who signs in usually wants, where the server has it.
_USUAL_SCOPES: Final = ("openid", "profile", "email", "offline_access")


@dataclass(frozen=True, slots=True)
class Server:
    """An authorization server, as its metadata describe it.

    Attributes:
        issuer: Its name, as it writes it.
        resource: What the tokens are for; ``None`` where the address was that of the server.
        sends_issuer: Whether its answers to the browser name it (RFC 9207).
        scopes: What to ask for if nobody says otherwise.
    """

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    resource: str | None = None
    sends_issuer: bool = False
    scopes: tuple[str, ...] = ()


def discover(url: str) -> Server:
    """Find the server of *url*, which is a protected resource, such as an MCP server, or an issuer.

    Raises:
        DiscoveryFailed: There is none. ``reason`` says what is wrong.
    """
    if not is_safe(url):
        raise DiscoveryFailed("An address begins with https, or is on this machine.", reason="insecure_url")
    found = _resource_metadata(url)
    if found is None:
        return _server(url, {}, resource=None, is_typed=True)
    servers, resource = found.get("authorization_servers"), str(found["resource"])
    if not isinstance(servers, list) or not servers or not is_safe(servers[0]):
        raise DiscoveryFailed("The resource names no server.", reason="no_server")
    is_issuer = servers[0].rstrip("/") == resource.rstrip("/")
    return _server(servers[0], found, resource=None if is_issuer else resource, is_typed=False)


def _resource_metadata(url: str) -> Mapping[str, Any] | None:
    """Return the metadata of the resource *url*, if it is one (RFC 9728 §3 and §5)."""
    document = _document(well_known(url, "oauth-protected-resource"))
    if document is None and (challenged := _challenged(url)) is not None:
        document = _document(challenged)
    if document is None:
        return None
    resource = document.get("resource")
    if not isinstance(resource, str) or not _covers(resource, url):
        # RFC 9728 §3.3: it may be the description of somebody else.
        raise DiscoveryFailed("The metadata are of another resource.", reason="other_resource")
    return document


def _covers(resource: str, url: str) -> bool:
    """Say whether *url* is *resource* or below it: an MCP server may describe all of a host at once."""
    return f"{url.rstrip('/')}/".startswith(f"{resource.rstrip('/')}/")


def _challenged(url: str) -> str | None:
    """Return where the metadata are, as the resource says when it refuses a request without a token."""
    try:
        status, headers, _ = request("GET", url)
    except NoAnswer:
        return None
    found = _CHALLENGE.search(headers.get("WWW-Authenticate", "")) if status == 401 else None
    return found[1] if found else None


def _server(issuer: str, found: Mapping[str, Any], *, resource: str | None, is_typed: bool) -> Server:
    """Read the metadata of *issuer*. Somebody who typed it may leave out the slash at its end.

    *found* are the metadata of the resource.
    """
    for address in (
        well_known(issuer, "oauth-authorization-server"),
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
    ):
        document = _document(address)
        if document is None:
            continue
        said = document.get("issuer")
        if said == issuer or (is_typed and isinstance(said, str) and said.rstrip("/") == issuer.rstrip("/")):
            server = _read(said, document, resource)
            return replace(server, scopes=tuple(dict.fromkeys((*server.scopes, *_scopes(found)))))
        raise DiscoveryFailed("The metadata are of another server.", reason="other_issuer")
    raise DiscoveryFailed("There are no metadata of an authorization server.", reason="no_metadata")


def _read(issuer: str, document: Mapping[str, Any], resource: str | None) -> Server:
    endpoints = {
        name: document[name]
        for name in (
            "token_endpoint",
            "authorization_endpoint",
            "device_authorization_endpoint",
            "registration_endpoint",
            "revocation_endpoint",
        )
        if document.get(name) is not None
    }
    if "token_endpoint" not in endpoints or not all(map(is_safe, endpoints.values())):
        raise DiscoveryFailed("An endpoint of the server cannot be used.", reason="bad_endpoint")
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise DiscoveryFailed("The server has no PKCE with S256.", reason="no_pkce")
    return Server(
        issuer,
        **endpoints,
        resource=resource,
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        scopes=tuple(scope for scope in _USUAL_SCOPES if scope in _scopes(document)),
    )


def _scopes(document: Mapping[str, Any]) -> list[str]:
    """Return ``scopes_supported``: of a server what it has, of a resource what it needs (RFC 8414 §2, RFC 9728 §2)."""
    scopes = document.get("scopes_supported")
    return [scope for scope in scopes if isinstance(scope, str)] if isinstance(scopes, list) else []


def _document(address: str) -> dict[str, Any] | None:
    try:
        status, _, document = request("GET", address)
    except NoAnswer as error:
        raise DiscoveryFailed("The server does not answer.", reason=error.reason) from None
    return document if status == 200 else None


def well_known(url: str, name: str) -> str:
    """Insert the well-known path between host and path (RFC 8414 §3.1)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{parts.path.rstrip('/')}"
