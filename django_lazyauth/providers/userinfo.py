"""Unsigned data of an upstream about a person: its userinfo endpoint, and lists of addresses."""

from __future__ import annotations

from typing import Any, Final

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.kit import fetch

#: Bytes of an answer of an upstream that the operator configured. A stranger's has the limit of each document.
ANSWER_LIMIT: Final = 1024 * 1024
#: Levels of lists and objects. What is read of it has its own limit.
DEPTH_LIMIT: Final = 256
#: Seconds in all: a person waits for it.
DEADLINE: Final = 5.0


@sensitive_variables()
def read_userinfo(endpoint: str, access_token: str, policy: fetch.Policy) -> Any:
    """Return the JSON that *endpoint* answers to the bearer of *access_token* (OpenID Connect Core §5.3).

    Raises:
        ProviderUnavailable: There was no answer, or it was no JSON.
    """
    headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
    limit = fetch.DOCUMENT_LIMIT if policy is fetch.STRANGER else ANSWER_LIMIT
    try:
        response = fetch.get(endpoint, policy=policy, headers=headers, max_bytes=limit, deadline=DEADLINE)
        if not response.ok:
            raise ProviderUnavailable("bad_answer", debug=f"userinfo: HTTP {response.status}")
        return response.json(max_depth=DEPTH_LIMIT)
    except fetch.FetchError as error:
        raise ProviderUnavailable("unreachable", debug=f"userinfo: {error.reason}") from None
