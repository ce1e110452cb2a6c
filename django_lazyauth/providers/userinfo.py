"""Unsigned data of an upstream about a person: its userinfo endpoint, and lists of addresses."""

from __future__ import annotations

from typing import Any

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.kit import fetch
from django_lazyauth.openid.jose import TokenRejected, check_clean
from django_lazyauth.openid.provider_kinds import IDENTIFIER_LIMIT
from django_lazyauth.openid.verify import Profile


@sensitive_variables()
def read_userinfo(endpoint: str, access_token: str) -> Any:
    """Return the JSON that *endpoint* answers to the bearer of *access_token* (OpenID Connect Core §5.3).

    Raises:
        ProviderUnavailable: There was no answer, or it was no JSON.
    """
    headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
    try:
        response = fetch.get(endpoint, policy=fetch.OPERATOR, headers=headers)
        if not response.ok:
            raise ProviderUnavailable("bad_answer", debug=f"userinfo: HTTP {response.status}")
        document = response.json()
        check_clean(document)
    except fetch.FetchError as error:
        raise ProviderUnavailable("unreachable", debug=f"userinfo: {error.reason}") from None
    except TokenRejected as error:
        raise IdentityRejected(error.reason) from None
    return document


def read_subject(value: object) -> str:
    """Return the subject of a person. Many providers use a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= IDENTIFIER_LIMIT:
        raise IdentityRejected("sub")
    return value


def choose_address(addresses: object, profile: Profile) -> Profile:
    """Return *profile* with the best address of the list: verified before not, primary before not.

    The address of a public profile is never verified, and is used only if the list is empty.
    """
    if not isinstance(addresses, list):
        raise ProviderUnavailable("bad_answer", debug="e-mail list: not a list")
    usable = [
        entry
        for entry in addresses
        if isinstance(entry, dict) and isinstance(entry.get("email"), str) and 0 < len(entry["email"]) <= 256
    ]
    if not usable:
        return Profile(email=profile.email, email_verified=False, name=profile.name)
    best = max(usable, key=lambda entry: (entry.get("verified") is True, entry.get("primary") is True))
    return Profile(email=best["email"], email_verified=best.get("verified") is True, name=profile.name)
