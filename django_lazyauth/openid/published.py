"""What a provider publishes about itself: its metadata and its key set, fetched and checked.

Not here: where they are kept (:mod:`.keys` in the database, :mod:`.discovery` in the cache), and whether a document
names the right issuer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django_lazyauth.kit import fetch
from django_lazyauth.kit.results import SourceFailed

from .descriptor import ProviderDescriptor
from .jose import TokenRejected, check_clean
from .key_set import KeySet, KeySetInvalid, is_public

#: Members of a metadata document that are kept (OpenID Connect Discovery §3, RFC 9207 §3).
ENDPOINT_MEMBERS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "revocation_endpoint",
    "end_session_endpoint",
)
REQUIRED_MEMBERS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
ISS_MEMBER: Final = "authorization_response_iss_parameter_supported"
AUTH_METHODS_MEMBER: Final = "token_endpoint_auth_methods_supported"
#: Authentication methods that are kept of a document; IANA has registered nine.
AUTH_METHODS_LIMIT: Final = 16
#: Members of a key that are kept (RFC 7517 §4, RFC 7518 §6); ``issuer`` is Microsoft's. Certificates are never read.
KEY_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops", "issuer")


def get(
    url: str,
    policy: fetch.Policy,
    *,
    max_bytes: int = fetch.DOCUMENT_LIMIT,
    headers: Mapping[str, str] | None = None,
) -> fetch.Response:
    """GET *url* as JSON, whatever the status of the answer. Raises :class:`SourceFailed`."""
    try:
        return fetch.get(
            url, policy=policy, max_bytes=max_bytes, headers={"Accept": "application/json", **(headers or {})}
        )
    except fetch.FetchError as error:
        raise SourceFailed(error.reason) from None


def get_document(url: str, policy: fetch.Policy) -> dict[str, Any]:
    """Return the JSON object at *url*.

    Raises:
        SourceFailed: There is none, or it holds what no database can store.
    """
    response = get(url, policy)
    if not response.ok:
        raise SourceFailed("status")
    try:
        document = response.json_object()
        check_clean(document)
    except (fetch.FetchError, TokenRejected) as error:
        raise SourceFailed(str(error.reason)) from None
    return document


def get_key_set(url: str, policy: fetch.Policy) -> dict[str, Any]:
    """Return the public signature keys at *url*; raises as :func:`public_key_set`."""
    return public_key_set(get(url, policy, max_bytes=fetch.KEY_SET_LIMIT))


def public_key_set(response: fetch.Response) -> dict[str, Any]:
    """Return the public signature keys of an answer, as they are kept.

    Raises:
        SourceFailed: It is not a key set, or holds no key that may be used.
    """
    if not response.ok:
        raise SourceFailed("status")
    try:
        document = response.json_object()
        check_clean(document)
        keys = KeySet.from_jwks(document)
    except (fetch.FetchError, KeySetInvalid, TokenRejected) as error:
        raise SourceFailed(str(error.reason)) from None
    if not keys:
        raise SourceFailed("no_keys")
    return {
        "keys": [
            {name: key[name] for name in KEY_MEMBERS if name in key}
            for key in document["keys"]
            if is_public(key)
        ]
    }


def read_metadata(
    document: Mapping[str, Any], configured: ProviderDescriptor | None = None
) -> dict[str, Any]:
    """Return the members of a metadata document that are kept. Each endpoint is a URL that may be fetched.

    Args:
        document: The metadata.
        configured: A provider whose own endpoints need not be in *document*.

    Raises:
        SourceFailed: An endpoint is missing (``incomplete``) or must not be used (``endpoint``).
    """
    found: dict[str, Any] = {ISS_MEMBER: document.get(ISS_MEMBER) is True}
    for name in ENDPOINT_MEMBERS:
        url = document.get(name)
        if url is not None:
            # The authorization endpoint is checked too, although only browsers open it: it must be https.
            found[name] = check_url(url)
        elif name in REQUIRED_MEMBERS and not getattr(configured, name, ""):
            raise SourceFailed("incomplete")
    methods = document.get(AUTH_METHODS_MEMBER)
    if isinstance(methods, list):
        found[AUTH_METHODS_MEMBER] = [
            method for method in methods[:AUTH_METHODS_LIMIT] if isinstance(method, str) and len(method) <= 64
        ]
    return found


def check_url(url: object, reason: str = "endpoint") -> str:
    """Return *url* if it may be fetched; raises :class:`SourceFailed` with *reason* otherwise."""
    try:
        fetch.check_url(url)  # type: ignore[arg-type]  # it refuses what is not a string
    except fetch.FetchError:
        raise SourceFailed(reason) from None
    return str(url)
