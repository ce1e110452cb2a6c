"""Authorization requests that a client signed with its key (RFC 9101), in the parameter ``request``.

What needs neither the client nor a key is checked first, so nothing is fetched for an object that cannot be good. Until
the signature held, nothing in it is trusted: every failure is a page, never a redirect.

Not here: the checks of the parameters (:mod:`.request`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.http import QueryDict
from django.utils import timezone

from django_lazyauth.clients.by_key.assertion import ALGORITHMS
from django_lazyauth.clients.by_key.signature import check_signed_by
from django_lazyauth.conf import allowed_algorithms, lazyauth_settings
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.jose import (
    LEEWAY,
    Reason,
    TokenRejected,
    audiences,
    check_clean,
    check_header,
    decode,
    seconds,
)
from django_lazyauth.openid.key_set import same_algorithm
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.client_policies import request_algorithm

from .request import Arrival, AuthorizationRefused, SingleUse

logger = logging.getLogger("django_lazyauth.authorize")

#: What ``typ`` may be, in lower case (RFC 9101 §10.8). Libraries of today send ``JWT`` or none.
TYPES: Final = frozenset({"oauth-authz-req+jwt", "application/oauth-authz-req+jwt", "jwt"})
#: Seconds that an object may be good for (FAPI 2.0 Message Signing §5.3.1).
LONGEST_LIFETIME: Final = 3600
#: What the client is told. The log has one word for why.
REFUSED: Final = "The signed request cannot be verified (invalid_request_object)."
#: Claims of the JWT that are no parameters of the request.
OF_THE_JWT: Final = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti", "sub"})
#: An object holds no other one (RFC 9101 §4).
NEVER_INSIDE: Final = ("request", "request_uri")


def open_signed(text: str, client_id: str) -> tuple[QueryDict, Arrival]:
    """Return the parameters that *client_id* signed, and how they came. It may wait for the client's keys.

    Args:
        text: A JWT in compact form, at most 16 KiB.
        client_id: That of the parameter beside it.

    Raises:
        AuthorizationRefused: There is no such client, or the object does not hold. Only a page may show it.
        TemporarilyUnavailable: The client's keys cannot be read now.
    """
    try:
        decoded = decode(text)
        algorithm, key_id = check_header(
            decoded.header,
            algorithms=allowed_algorithms(ALGORITHMS),
            types=TYPES,
            default_type="oauth-authz-req+jwt",
        )
        expires_at = _check_claims(decoded.claims, client_id)
        client = clients.find_client(client_id)
        if client is None:
            raise AuthorizationRefused("invalid_request", "Invalid client_id parameter value.")
        registered = request_algorithm(client)
        if registered and not same_algorithm(registered, algorithm):
            raise TokenRejected(Reason.ALGORITHM)
        check_signed_by(client, decoded, algorithm, key_id)
    except TokenRejected as rejected:
        logger.info("a signed request was refused: %s", rejected.reason)
        raise AuthorizationRefused("invalid_request_object", REFUSED) from None
    single_use = SingleUse(digest(decoded.signed.decode()), _until(expires_at))
    return _parameters(decoded.claims), Arrival(is_signed=True, single_use=single_use)


def _check_claims(claims: Mapping[str, Any], client_id: str) -> float:
    """Check for whom and by whom an object is, and return its ``exp`` (RFC 9101 §4)."""
    check_clean(claims)
    if claims.get("iss") != client_id:
        raise TokenRejected(Reason.ISSUER)
    if claims.get("client_id") != client_id:
        raise TokenRejected(Reason.CLIENT_ID)
    if claims.get("sub") == client_id:
        # It would pass as a client assertion (RFC 9101 §10.8).
        raise TokenRejected(Reason.SUBJECT)
    if lazyauth_settings.issuer not in audiences(claims.get("aud")):
        raise TokenRejected(Reason.AUDIENCE)
    if any(name in claims for name in NEVER_INSIDE):
        raise TokenRejected(Reason.UNCLEAN)
    return _expiry(claims, timezone.now().timestamp())


def _expiry(claims: Mapping[str, Any], now: float) -> float:
    """Return ``exp`` of an object that is valid at *now*. It ends an hour after ``nbf``, ``iat`` or now at most."""
    expires_at = seconds(claims.get("exp"), Reason.EXPIRED)
    begins = []
    for name, reason in (("nbf", Reason.NOT_YET), ("iat", Reason.ISSUED_AT)):
        if name in claims:
            begins.append(seconds(claims[name], reason))
            if begins[-1] > now + LEEWAY:
                raise TokenRejected(reason)
    begins.append(now + LEEWAY)
    if now - LEEWAY >= expires_at or expires_at > begins[0] + LONGEST_LIFETIME:
        raise TokenRejected(Reason.EXPIRED)
    return expires_at


def _until(expires_at: float) -> datetime:
    """Return until when somebody may answer a page that was shown when the object expired."""
    return datetime.fromtimestamp(expires_at + LEEWAY, UTC) + lazyauth_settings.flow_lifetime


def _parameters(claims: Mapping[str, Any]) -> QueryDict:
    """Return the claims as parameters: only what is inside counts (RFC 9101 §5). Numbers and JSON become text.

    Libraries write null where a parameter has no value, and such a one is an omitted one (RFC 6749 §3.1).
    """
    parameters = QueryDict(mutable=True)
    for name, value in claims.items():
        if name in OF_THE_JWT or value is None:
            continue
        values = value if name == "resource" and isinstance(value, list) else [value]
        parameters.setlist(name, [one if isinstance(one, str) else json.dumps(one) for one in values])
    return parameters
