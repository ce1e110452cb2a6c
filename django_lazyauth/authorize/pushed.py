"""Authorization requests that a client pushed: they stand, sealed, in the URN that it gets for them (RFC 9126).

Nothing is written when a request is pushed, so strangers can fill nothing (I16), and every process can open what
another one sealed. A row is written when a person acts; it has the digest of the URN, which is unique.

Not here: the checks of the parameters (:mod:`.request`), and who may push (``grants/push``).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.http import QueryDict

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest, InvalidRequestUri, SealBroken
from django_lazyauth.kit.crypto.site_keys import keys_for
from django_lazyauth.kit.sealed_text import open_sealed, seal
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.jose import TokenRejected, base64url

from .request import Arrival, SingleUse

#: RFC 9126 §2.2.
PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
#: Seconds from the push to the browser's request. FAPI 2.0 §5.3.2.2 allows less than 600.
LIFETIME: Final = 90
#: Characters of the parameters in a URL. gunicorn takes request lines of 4,094 octets, and sealing adds a third.
MAX_LENGTH: Final = 2560
#: Keeps this key apart from whatever else is derived from the keys of the site (RFC 5869 §3.2).
PURPOSE: Final = "django_lazyauth pushed request v1"
#: What every sealed text begins with. It is left out of the URN.
VERSION: Final = "v1."


@dataclass(frozen=True, slots=True)
class Pushed:
    """What the client gets for its request.

    Attributes:
        expires_in: Seconds.
    """

    request_uri: str = field(repr=False)
    expires_in: int


def push(parameters: QueryDict, client_id: str, arrival: Arrival) -> Pushed:
    """Return the URN for checked *parameters*. Nothing is written.

    Args:
        client_id: Who pushed them. For nobody else the URN opens.
        arrival: How they came: signed, or not.

    Raises:
        InvalidRequest: They are too long.
    """
    text = parameters.urlencode()
    if len(text) > MAX_LENGTH:
        raise InvalidRequest(f"The parameters are longer than {MAX_LENGTH} characters in a URL.")
    carried: dict[str, Any] = {"p": text, "e": int(time.time()) + LIFETIME, "s": arrival.is_signed}
    if arrival.single_use is not None:
        carried["u"] = [arrival.single_use.digest, int(arrival.single_use.until.timestamp())]
    sealed = seal(json.dumps(carried), secret=_secrets()[0], purpose=PURPOSE, place=client_id)
    return Pushed(PREFIX + sealed.removeprefix(VERSION).rstrip("="), LIFETIME)


def is_pushed(request_uri: str) -> bool:
    """Say whether *request_uri* is of the kind that this server gives out."""
    return request_uri.startswith(PREFIX)


def open_pushed(request_uri: str, client_id: str) -> tuple[QueryDict, Arrival]:
    """Return the parameters that *client_id* pushed, and how they came.

    Raises:
        InvalidRequestUri: Another client's, expired, altered, or of another site; not told apart.
    """
    carried = _open(request_uri.removeprefix(PREFIX), client_id)
    if carried["e"] <= time.time():
        raise InvalidRequestUri
    # A request that was signed is good for one flow however often it is pushed.
    used, until = carried.get("u") or (digest(request_uri), _with_page(carried["e"]))
    single_use = SingleUse(used, datetime.fromtimestamp(until, UTC))
    return QueryDict(carried["p"]), Arrival(is_pushed=True, is_signed=carried["s"], single_use=single_use)


def _with_page(expires_at: int) -> int:
    """Return until when somebody may answer a page that was shown when the URN expired."""
    return expires_at + int(lazyauth_settings.flow_lifetime.total_seconds())


def _open(text: str, client_id: str) -> dict[str, Any]:
    try:
        # One seal has one text: the same seal in another spelling would be good once more.
        base64url(text)
    except TokenRejected:
        raise InvalidRequestUri from None
    padded = f"{VERSION}{text}{'=' * (-len(text) % 4)}"
    for secret in _secrets():
        try:
            opened = open_sealed(padded, secret=secret, purpose=PURPOSE, place=client_id)
        except SealBroken:
            continue
        carried: dict[str, Any] = json.loads(opened)
        return carried
    raise InvalidRequestUri


def _secrets() -> list[str]:
    return [key.hex() for key in keys_for(PURPOSE.encode())]
