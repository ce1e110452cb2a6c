"""What a client wants of this site for itself: stronger answers, and what its requests mean where they do not say it.

The members stand in its registration, and beside an operator's client. Without them nothing is asked for.
"""

from __future__ import annotations

from typing import Final

from .client_methods import metadata_of
from .clients import Client
from .settings import requires_pushes, toolkit_insists_on_pushes

#: Tokens only that are bound to a key (RFC 9449 §5.2).
BOUND_MEMBER: Final = "dpop_bound_access_tokens"
#: Seconds since the person signed in, and how (OpenID Connect Registration §2).
MAX_AGE_MEMBER: Final = "default_max_age"
ACR_MEMBER: Final = "default_acr_values"
#: Authorization requests only that are pushed (RFC 9126 §6), or signed (RFC 9101 §10.5), and with what.
PUSH_MEMBER: Final = "require_pushed_authorization_requests"
SIGN_MEMBER: Final = "require_signed_request_object"
REQUEST_ALGORITHM_MEMBER: Final = "request_object_signing_alg"
#: What its answers at userinfo are signed with, and at introspection (OpenID Connect Registration §2, RFC 9701 §6).
USERINFO_MEMBER: Final = "userinfo_signed_response_alg"
INTROSPECTION_MEMBER: Final = "introspection_signed_response_alg"


def wants_bound_tokens(client: Client) -> bool:
    """Say whether *client* wants no token that works without its key (RFC 9449 §5.2)."""
    return metadata_of(client).get(BOUND_MEMBER) is True


def default_max_age(client: Client) -> int | None:
    """Return the ``max_age`` of requests of *client* that have none; ``None`` where any sign-in will do."""
    seconds = metadata_of(client).get(MAX_AGE_MEMBER)
    return seconds if type(seconds) is int and seconds >= 0 else None


def default_acr_values(client: Client) -> tuple[str, ...]:
    """Return the ``acr_values`` of requests of *client* that have none, the best first."""
    values = metadata_of(client).get(ACR_MEMBER)
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def must_push(client: Client) -> bool:
    """Say whether *client* wants its authorization requests to be taken only where they were pushed."""
    return metadata_of(client).get(PUSH_MEMBER) is True or getattr(client, PUSH_MEMBER, None) is True


def may_ask_toolkit(client: Client) -> bool:
    """Say whether DOT's own endpoint insists on all that the requests of *client* have to be: pushed, or signed.

    Its next release takes pushed requests, and knows its own setting and column. It takes no signed ones.
    """
    is_pushed = toolkit_insists_on_pushes(is_asked=getattr(client, PUSH_MEMBER, None) is True)
    wants_push = requires_pushes() or must_push(client)
    return (is_pushed or not wants_push) and not must_sign_requests(client)


def must_sign_requests(client: Client) -> bool:
    """Say whether *client* wants its authorization requests to be taken only where they are signed."""
    return metadata_of(client).get(SIGN_MEMBER) is True


def request_algorithm(client: Client) -> str:
    """Return the only algorithm that *client* signs its authorization requests with; empty if it named none."""
    algorithm = metadata_of(client).get(REQUEST_ALGORITHM_MEMBER)
    return algorithm if isinstance(algorithm, str) else ""


def userinfo_algorithm(client: Client) -> str:
    """Return what *client* wants its answers at userinfo signed with; empty where it wants JSON."""
    return _algorithm(client, USERINFO_MEMBER)


def introspection_algorithm(client: Client) -> str:
    """Return what *client* wants answers at introspection signed with, RS256 if it does not say (RFC 9701 §6)."""
    return _algorithm(client, INTROSPECTION_MEMBER) or "RS256"


def _algorithm(client: Client, member: str) -> str:
    algorithm = metadata_of(client).get(member)
    return algorithm if isinstance(algorithm, str) else ""
