"""How strongly a client wants the person to sign in (OpenID Connect Core §3.1.2.1, §5.5.1.1; RFC 9470 §4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from django.http import QueryDict

from django_lazyauth.conf import lazyauth_settings

#: Characters of the column that keeps them.
LENGTH: Final = 1024


@dataclass(frozen=True, slots=True)
class WantedAcr:
    """Context classes, any of which will do.

    Attributes:
        values: Empty where the client does not care.
        is_essential: Nothing else will do. Otherwise the person signs in again at most once, and the token says how.
    """

    values: tuple[str, ...] = ()
    is_essential: bool = False

    def allows(self, acr: str) -> bool:
        """Say whether a person who signed in with *acr* need not sign in again."""
        return acr in self.values or not (self.values or self.is_essential)


#: The client does not care.
ANY_ACR: Final = WantedAcr()


def read_wanted_acr(parameters: QueryDict, default: tuple[str, ...] = ()) -> WantedAcr:
    """Return what ``acr_values`` and the member ``acr`` of ``claims`` ask for; *default* where neither asks.

    Of what is no more than a wish, only this site's own classes count: nobody is asked to sign in again for a class
    that no provider can state.
    """
    claim = _acr_of(parameters.get("claims", ""))
    named = [claim.get("value"), *_listed(claim.get("values"))]
    of_claim = [value for value in named if isinstance(value, str) and value.split() == [value]]
    if claim.get("essential") is True and of_claim:
        return WantedAcr(_fitting(of_claim), is_essential=True)
    known = lazyauth_settings.acr_values
    asked = [*parameters.get("acr_values", "").split(), *of_claim] or default
    return WantedAcr(tuple(value for value in dict.fromkeys(asked) if value in known))


def _fitting(values: list[str]) -> tuple[str, ...]:
    """Return those of *values*, each once, that the row has room for. Without the others the request is stricter."""
    kept = list(dict.fromkeys(values))
    while len(" ".join(kept)) > LENGTH:
        kept.pop()
    return tuple(kept)


def _acr_of(claims: str) -> dict[str, Any]:
    """Return what ``claims`` says of ``acr`` in the ID token. Another shape says nothing: it is not refused here."""
    try:
        found: Any = json.loads(claims) if claims else None
    except (ValueError, RecursionError):
        return {}
    for name in ("id_token", "acr"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
