"""What a request brings to a resource: a bearer (RFC 6750 §2.1), or a token and the proof of its key (RFC 9449 §7).

Not here: whether a proof holds (:mod:`django_lazyauth.openid.dpop`), and whether the token does.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from django.core.cache import cache, caches
from django.core.cache.backends.dummy import DummyCache
from django.http import HttpRequest
from django.utils.encoding import escape_uri_path
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import TemporarilyUnavailable
from django_lazyauth.kit.http import parse_bearer, parse_dpop
from django_lazyauth.openid.dpop import check
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.openid.jose import Reason

logger = logging.getLogger("django_lazyauth.resource_server")

_CACHE_PREFIX: Final = "lazyauth:dpop:"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token, and how it was presented."""

    token: str = field(repr=False)
    is_dpop: bool = False


@sensitive_variables()
def credentials_of(request: HttpRequest) -> Credentials | None:
    """Return what stands in ``Authorization``; nowhere else is looked. ``None`` for another scheme, or no header."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    bound = parse_dpop(header)
    if bound is not None:
        return Credentials(bound, is_dpop=True)
    bearer = parse_bearer(header)
    return None if bearer is None else Credentials(bearer)


def uses_dpop(request: HttpRequest) -> bool:
    """Say whether the request presents a token with the scheme of bound ones: its challenges are in that scheme."""
    credentials = credentials_of(request)
    return credentials is not None and credentials.is_dpop


@sensitive_variables()
def read_proof(request: HttpRequest, token: str, *, origin: str) -> Proof:
    """Return the proof that comes with *token* (RFC 9449 §4.3). Whose key it is, and :func:`use_once`, are left to do.

    Args:
        origin: Scheme and authority by which clients know this server. ``Host`` is never used.

    Raises:
        InvalidDpopProof: There is none, or it does not hold.
        UseDpopNonce: It needs a nonce, or another one.
    """
    url = origin + escape_uri_path(request.path)
    text = request.META.get("HTTP_DPOP", "")
    return check.check_proof(text, method=request.method or "", url=url, access_token=token)


def use_once(proof: Proof) -> None:
    """Remember *proof* in the cache of all processes. Of two requests with one, one passes (I24).

    After all other checks: a request that is refused uses nothing up.

    Raises:
        InvalidDpopProof: It was used before.
        TemporarilyUnavailable: The cache cannot say.
    """
    if isinstance(caches["default"], DummyCache):
        # It would say that every proof is new.
        raise TemporarilyUnavailable(debug="the cache keeps nothing")
    try:
        is_new = cache.add(_CACHE_PREFIX + check.digest_of_use(proof), 1, timeout=check.REMEMBERED)
    except Exception as error:  # noqa: BLE001 - each cache raises what it likes when it is down.
        logger.warning("a DPoP proof cannot be remembered: %s", type(error).__name__)
        raise TemporarilyUnavailable(debug="the cache is down") from None
    if not is_new:
        raise check.refused(Reason.USED)
