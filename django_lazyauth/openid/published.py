"""What a provider publishes about itself: its metadata and its key set, fetched and checked.

Not here: where they are kept (:mod:`.stored_keys` in the database, :mod:`.sso_discovery` in the cache), and whether a
document names the right issuer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from django_lazyauth.kit import fetch
from django_lazyauth.kit.results import SourceFailed

from .descriptor import ProviderDescriptor
from .jose import TokenRejected, check_clean
from .key_set import CONFIGURED, STRANGERS, KeySet, KeySetInvalid, KeySetLimits, is_usable

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
#: Where the words of :data:`DEMANDS` are kept. No metadata has a member of this name.
DEMANDS_MEMBER: Final = "lazyauth_demands"
#: Members that demand what this site cannot do, and the word for each (RFC 9126 §5, RFC 9101 §10.5).
DEMANDS: Final = {
    "require_pushed_authorization_requests": "par",
    "require_signed_request_object": "request_object",
}
#: Authentication by a certificate of the client (RFC 8705 §2).
_CERTIFICATE_METHODS: Final = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
#: Authentication methods that are kept of a document; IANA has registered nine.
AUTH_METHODS_LIMIT: Final = 16
#: Members of a key that are kept (RFC 7517 §4, RFC 7518 §6); ``issuer`` is Microsoft's. Certificates are never read.
KEY_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops", "issuer")


def policy_of(descriptor: ProviderDescriptor) -> fetch.Policy:
    """Return the policy for the addresses of this provider (I14)."""
    if descriptor.is_discovered:
        return fetch.STRANGER
    return replace(fetch.OPERATOR, ca_file=descriptor.ca_file) if descriptor.ca_file else fetch.OPERATOR


def get(
    url: str,
    policy: fetch.Policy,
    *,
    max_bytes: int | None = None,
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
        raise _no_document(response, url)
    try:
        document = response.json_object()
        check_clean(document)
    except (fetch.FetchError, TokenRejected) as error:
        raise SourceFailed(str(error.reason)) from None
    return document


def _no_document(response: fetch.Response, url: str) -> SourceFailed:
    """Return what the status of an answer without a document means."""
    if location := response.location():
        return SourceFailed("redirect", debug=f"to {location}, which is not followed")
    reason = "not_found" if response.status in (404, 410) else "status"
    return SourceFailed(reason, debug=f"HTTP {response.status} of {url.partition('?')[0]}")


def get_key_set(url: str, policy: fetch.Policy) -> dict[str, Any]:
    """Return the public signature keys at *url*; raises as :func:`public_key_set`."""
    return public_key_set(get(url, policy, max_bytes=limits_of(policy).octets), policy, url)


def limits_of(policy: fetch.Policy) -> KeySetLimits:
    """Return the limits of a key set, by who chose its address."""
    return STRANGERS if policy.is_strict else CONFIGURED


def public_key_set(response: fetch.Response, policy: fetch.Policy, url: str) -> dict[str, Any]:
    """Return the public signature keys of an answer of *url*, as they are kept.

    Raises:
        SourceFailed: It is not a key set, or holds no key that may be used.
    """
    if not response.ok:
        raise _no_document(response, url)
    try:
        document = response.json_object()
        check_clean(document)
        keys = KeySet.from_jwks(document, limits_of(policy))
    except (fetch.FetchError, KeySetInvalid, TokenRejected) as error:
        raise SourceFailed(str(error.reason)) from None
    if not keys:
        raise SourceFailed("no_keys")
    return {
        "keys": [
            {name: key[name] for name in KEY_MEMBERS if name in key}
            for key in document["keys"]
            if is_usable(key)
        ]
    }


def read_metadata(
    document: Mapping[str, Any], configured: ProviderDescriptor | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the members of a metadata document that are kept, and notes of those that cannot be used.

    Each endpoint that is kept is a URL that may be fetched. A note is ``member: word``.

    Args:
        document: The metadata.
        configured: A provider whose own endpoints need not be in *document*.

    Raises:
        SourceFailed: An endpoint that is needed is missing (``incomplete``) or must not be used (``endpoint``).
    """
    notes: list[str] = []
    found: dict[str, Any] = _endpoints(document, configured, notes)
    sends_issuer = document.get(ISS_MEMBER, False)
    found[ISS_MEMBER] = sends_issuer is True
    if not isinstance(sends_issuer, bool):
        notes.append(f"{ISS_MEMBER}: type")
    methods = document.get(AUTH_METHODS_MEMBER)
    if isinstance(methods, list):
        found[AUTH_METHODS_MEMBER] = [
            method for method in methods[:AUTH_METHODS_LIMIT] if isinstance(method, str) and len(method) <= 64
        ]
    elif methods is not None:
        notes.append(f"{AUTH_METHODS_MEMBER}: type")
    found[DEMANDS_MEMBER] = _demands(document, found.get(AUTH_METHODS_MEMBER, ()))
    return found, notes


def is_configured(configured: ProviderDescriptor | None, name: str) -> bool:
    """Say whether the operator gave an endpoint, or keys in the place of their address."""
    if name == "jwks_uri" and configured is not None and not configured.fetches_keys:
        return True
    return bool(getattr(configured, name, ""))


def _endpoints(
    document: Mapping[str, Any], configured: ProviderDescriptor | None, notes: list[str]
) -> dict[str, Any]:
    """Return the endpoints that may be fetched, and add to *notes* those that may not."""
    found = {}
    for name in ENDPOINT_MEMBERS:
        is_needed = name in REQUIRED_MEMBERS and not is_configured(configured, name)
        url = document.get(name)
        if url is None:
            if is_needed:
                raise SourceFailed("incomplete")
            continue
        try:
            # The authorization endpoint is checked too, although only browsers open it: it must be https.
            fetch.check_url(url)
        except fetch.FetchError as error:
            if is_needed:
                raise SourceFailed("endpoint") from None
            notes.append(f"{name}: {error.reason if isinstance(url, str) else 'type'}")
        else:
            found[name] = url
    return found


def _demands(document: Mapping[str, Any], methods: Collection[str]) -> list[str]:
    """Return the words for what the provider demands of every client and this site cannot do."""
    words = [word for name, word in DEMANDS.items() if document.get(name) is True]
    return [*words, "mtls"] if methods and set(methods) <= _CERTIFICATE_METHODS else words


def check_url(url: object, reason: str = "endpoint") -> str:
    """Return *url* if it may be fetched; raises :class:`SourceFailed` with *reason* otherwise."""
    try:
        fetch.check_url(url)  # type: ignore[arg-type]  # it refuses what is not a string
    except fetch.FetchError:
        raise SourceFailed(reason) from None
    return str(url)
