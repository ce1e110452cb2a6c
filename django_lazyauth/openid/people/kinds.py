"""The kinds of values of the keys that say who is taken. See :mod:`django_lazyauth.openid.provider_kinds`."""

from __future__ import annotations

from typing import Any, Final

from django_lazyauth.openid.provider_kinds import Kind, is_a, text, wanted

#: Client ids in one list.
CLIENTS_LIMIT: Final = 16
#: Further names of one issuer.
ALIASES_LIMIT: Final = 4


def texts(limit: int, what: str) -> Kind:
    """A list of at most *limit* texts, none of them empty."""

    def read(value: Any) -> tuple[str, ...]:
        wanted(is_a(value, list, tuple) and len(value) <= limit)
        found = [text().read(one) for one in value]
        wanted(all(found))
        return tuple(dict.fromkeys(found))

    return Kind(f"a list of at most {limit} {what}", read)


CLIENT_IDS: Final = texts(CLIENTS_LIMIT, "client ids")
ISSUERS: Final = texts(ALIASES_LIMIT, "issuers")
