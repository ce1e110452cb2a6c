"""How this site authenticates at a provider: by what it has, and by what the provider lists."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from django_lazyauth.openid.descriptor import ProviderDescriptor

AuthMethod = Literal[
    "auto", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
]
#: Octets of a secret that signs with HS256 (RFC 7518 §3.2).
HMAC_OCTETS: Final = 32

_PREFERRED: Final[tuple[AuthMethod, ...]] = (
    "private_key_jwt",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
)
_GUESSES: Final[tuple[AuthMethod, ...]] = ("client_secret_basic", "client_secret_post")


def can_sign(secret: str) -> bool:
    """Say whether *secret* is long enough for ``client_secret_jwt``."""
    return len(secret.encode()) >= HMAC_OCTETS


def methods_to_try(
    descriptor: ProviderDescriptor, listed: Collection[str], found: str = ""
) -> tuple[AuthMethod, ...]:
    """Return the method for ``auto``, or the configured one.

    There is a second one where neither the operator nor the provider names one: the first is a guess then.

    Args:
        descriptor: The provider.
        listed: ``token_endpoint_auth_methods_supported`` of its metadata; empty where it lists none.
        found: What worked earlier, where it was a guess.
    """
    if descriptor.token_endpoint_auth_method != "auto":
        return (descriptor.token_endpoint_auth_method,)
    for method in _PREFERRED:
        if method in listed and _has_what_it_needs(descriptor, method):
            return (method,)
    if not descriptor.has_secret:
        return ("private_key_jwt" if descriptor.private_key else "none",)
    first = found or ("client_secret_basic" if descriptor.type == "oidc" else "client_secret_post")
    return _GUESSES if first == _GUESSES[0] else _GUESSES[::-1]


def _has_what_it_needs(descriptor: ProviderDescriptor, method: AuthMethod) -> bool:
    if method == "private_key_jwt":
        return bool(descriptor.private_key)
    if method == "client_secret_jwt":
        return can_sign(descriptor.client_secret)
    return descriptor.has_secret
