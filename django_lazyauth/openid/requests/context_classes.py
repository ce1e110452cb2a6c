"""Authentication context classes: what this site calls them, and what a provider does (OpenID Connect Core §2)."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from django_lazyauth.openid.provider_kinds import Key, Kind, Wrong, is_a, wanted

#: Our name → theirs.
Classes = Mapping[str, str]
#: Several stand in one parameter, and one in the quotes of a challenge (RFC 9470 §3).
_CLASS = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


def _read(value: Any) -> Classes:
    wanted(is_a(value, Mapping))
    found = dict(value)
    wanted(all(is_a(one, str) and _CLASS.fullmatch(one) for one in (*found, *found.values())))
    if len(set(found.values())) < len(found):
        raise Wrong("must not name one of theirs twice")
    return MappingProxyType(found)


ACR_KEYS: Final = (
    Key(
        "acr_values",
        Kind("a dict of this site's context classes to the provider's", _read),
        'Ours → theirs, such as `{"urn:example:mfa": "phr"}`: what a client asks for is asked of the provider in its '
        "words, and what the ID token says is told in ours. See [step-up](concepts/step-up.md).",
        {},
        types=("oidc",),
    ),
)


def in_their_words(classes: Classes, wanted_classes: Iterable[str]) -> str:
    """Return the parameter ``acr_values`` for the provider; empty where it knows none of *wanted_classes*."""
    return " ".join(classes[one] for one in wanted_classes if one in classes)


def in_our_words(classes: Classes, stated: str, ours: Container[str]) -> str:
    """Return the ``acr`` of an ID token in our words.

    A class that we know is stated by its mapping only. Else whoever runs a provider could state it for their people.
    """
    for one, theirs in classes.items():
        if theirs == stated:
            return one
    return "" if stated in ours else stated
