"""How strongly a client wants a person to sign in, which one, and where (OpenID Connect Core §5.5; RFC 9470 §4).

Not here: claims about the person. What the consented scopes bring stands in the ID token and at userinfo both, so a
client that names them finds them, and one that names others gets no more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from django.http import QueryDict

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.tokens.logout_token import read_hint
from django_lazyauth.toolkit import clients
from django_lazyauth.users.subjects import hinted_user_key, user_key

#: Of the parameter ``claims``: octets, levels of nesting, and names in all of it.
MAX_BYTES, MAX_DEPTH, MAX_NAMES = 2048, 4, 50
#: Characters of a subject. The column has as many.
SUBJECT_LENGTH: Final = 255
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


#: Whom a client asks for whom it does not know. It is the key of no user.
NOBODY: Final = "<nobody>"
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


def fault_of_claims(text: str) -> str:
    """Return what is wrong with a ``claims`` parameter that is JSON, in words for the client; empty if nothing is."""
    claims: Any = json.loads(text)
    if not isinstance(claims, dict):
        return "The claims parameter is no object."
    if len(text.encode()) > MAX_BYTES or not _is_small(claims):
        return (
            f"The claims parameter has more than {MAX_BYTES} octets, {MAX_DEPTH} levels or {MAX_NAMES} names."
        )
    wanted = _wanted_subjects(claims)
    if not all(isinstance(one, str) and 0 < len(one) <= SUBJECT_LENGTH for one in wanted):
        return "The claim sub is asked for with a value that is no subject."
    if len(set(wanted)) > 1:
        return "The claim sub is asked for with more than one value."
    return ""


def read_wanted_subject(text: str) -> str | None:
    """Return the only person who will do, by the claim ``sub`` of a ``claims`` parameter without a fault."""
    try:
        claims: Any = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return None
    return next((one for one in _wanted_subjects(claims) if isinstance(one, str)), None)


def wanted_user(parameters: QueryDict, client: clients.Client) -> str | None:
    """Return the key of the only person who will do: whom the claim ``sub`` names, or else ``id_token_hint`` (§5.5)."""
    wanted = user_of_claims(parameters.get("claims", ""), client)
    return wanted if wanted is not None else user_of_hint(parameters, client)


def user_of_claims(claims: str, client: clients.Client) -> str | None:
    """Return the key of whom the claim ``sub`` names; ``None`` where it is not asked for with a value."""
    subject = read_wanted_subject(claims)
    return None if subject is None else user_key(subject, client) or NOBODY


def user_of_hint(parameters: QueryDict, client: clients.Client) -> str | None:
    """Return the key of whom ``id_token_hint`` names; empty where it is no ID token of ours, ``None`` without one."""
    if not (token := parameters.get("id_token_hint", "")):
        return None
    hint = read_hint(token)
    return hinted_user_key(hint.subject, client) if hint else ""


def _wanted_subjects(claims: Any) -> list[Any]:
    """Return each value that ``sub`` is asked for with, in the ID token and at userinfo (§5.5.1)."""
    found: list[Any] = []
    for place in ("id_token", "userinfo"):
        members = claims.get(place) if isinstance(claims, dict) else None
        asked = members.get("sub") if isinstance(members, dict) else None
        if isinstance(asked, dict):
            found += [asked["value"]] if "value" in asked else []
            listed = asked.get("values", [])
            found += listed if isinstance(listed, list) else [None]
    return found


def _is_small(claims: Any) -> bool:
    """Say whether the value has no more names and levels than we read."""
    names, level = 0, [claims]
    for _ in range(MAX_DEPTH):
        names += sum(len(one) for one in level if isinstance(one, dict))
        inner = [list(one.values()) if isinstance(one, dict) else one for one in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
    return names <= MAX_NAMES and not level


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


def read_way_hint(parameters: QueryDict) -> str:
    """Return the provider that ``provider_hint`` or ``domain_hint`` suggests; empty where neither does.

    Both are of this site, and no more than a suggestion. Whether there is such a provider is not known here.
    """
    if provider := parameters.get("provider_hint", ""):
        return str(provider)
    domain = parameters.get("domain_hint", "")
    return f"{SSO_PREFIX}{domain}" if domain else ""
