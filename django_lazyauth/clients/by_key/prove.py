"""Which client signed this assertion, and is it used for the first time (RFC 7523 §3, I25)?

Authentication by key comes before the transaction of what is asked for: it may wait for keys. The assertion is spent
then too, or with the writes of a grant.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Final

from django.db import IntegrityError, connections, router, transaction
from django.urls import NoReverseMatch, reverse

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClient, TemporarilyUnavailable, TooManyRequests
from django_lazyauth.kit.crypto.single_use import use_digest
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.kit.throttle import Throttle, Verdict
from django_lazyauth.models import ProofKind, UsedProof
from django_lazyauth.models.locked_code import READ_OF_REGISTRATION
from django_lazyauth.models.prepared_select import ASKED_FOR, PreparedSelect
from django_lazyauth.openid.jose import LEEWAY, Reason, TokenRejected
from django_lazyauth.openid.key_set import same_algorithm
from django_lazyauth.tokens.writes import Upsert
from django_lazyauth.toolkit import client_methods, clients

from .assertion import Assertion
from .signature import check_signed_by

logger = logging.getLogger("django_lazyauth.token")

#: Assertions of one client that registered itself. Each leaves a row, for an hour at most.
ASSERTIONS_OF_STRANGER: Final = Throttle("client-assertion", 300, timedelta(minutes=5))
#: How long a used assertion is remembered after ``exp``: the leeway for which it is taken, and as much again. Whoever
#: sweeps may have a clock that is ahead, and a request that came in time may still wait for keys.
KEPT: Final = timedelta(seconds=2 * LEEWAY)
#: Endpoints whose URL ``ASSERTION_AUDIENCE_COMPAT`` allows as audience.
ENDPOINTS: Final = ("token", "revoke", "introspect", "par")


def refused(reason: str) -> InvalidClient:
    """Return the error for an assertion that does not hold. The log gets the reason, the client one sentence."""
    logger.info("a client assertion was refused: %s", reason)
    return InvalidClient("The client assertion is not valid.", debug=reason)


@dataclass(frozen=True, slots=True)
class Proved:
    """A client whose key signed an assertion that is not spent yet. Whoever gets it spends it, whatever happens.

    Attributes:
        digest: What the assertion is remembered by once it is spent.
    """

    client: clients.Client
    assertion: Assertion
    digest: str

    def use(self) -> Upsert:
        """Return the step that spends it. If its row is still to be added then, it was used before."""
        return Upsert(_row(self.assertion, self.digest), unique=("digest",), update=())

    def spend(self) -> None:
        """Spend it in a transaction of its own. Of two at once one wins.

        Raises:
            InvalidClient: It was used before.
        """
        if _spend(self.assertion, self.digest):
            return
        if clients.is_self_registered(self.client):
            # Else whoever got hold of a used one could keep the client out.
            ASSERTIONS_OF_STRANGER.give_back(self.client.client_id)
        raise refused(Reason.USED)


def prove_by_key(assertion: Assertion) -> Proved:
    """Return the client that signed *assertion*, which was not used when this looked.

    Raises:
        InvalidClient: The client is unknown or disabled, has no such key, or the assertion was used before.
        TemporarilyUnavailable: The client's keys cannot be read now.
        TooManyRequests: The client registered itself, and sent more than 300 in 5 minutes.
    """
    digest = use_digest(ProofKind.CLIENT_ASSERTION.value, assertion.client_id, assertion.token_id)
    try:
        client, was_used = _client_of(assertion, digest)
        check_signed_by(client, assertion.decoded, assertion.algorithm, assertion.key_id)
        if was_used:
            raise TokenRejected(Reason.USED)
    except TokenRejected as rejected:
        raise refused(rejected.reason) from None
    _limit(client)
    return Proved(client, assertion, digest)


def _client_of(assertion: Assertion, digest: str) -> tuple[clients.Client, bool]:
    """Return the client, and whether the assertion is remembered. One query."""
    if not clients.is_client_id(assertion.client_id):
        raise TokenRejected(Reason.CLIENT_ID)
    using = router.db_for_write(UsedProof)
    client, used, _ = clients.select(using, READ_OF_REGISTRATION).get_beside(
        assertion.client_id, _select_used(using), (digest,)
    )
    if client is None or not clients.is_usable(client):
        raise TokenRejected(Reason.CLIENT_ID)
    _check_terms(client, assertion)
    return client, used is not None


@cache
def _select_used(using: str) -> PreparedSelect[UsedProof]:
    return PreparedSelect(UsedProof.objects.using(using).filter(digest=ASKED_FOR), only=("id",))


def _check_terms(client: clients.Client, assertion: Assertion) -> None:
    if not client_methods.may_use_key(client):
        raise TokenRejected(Reason.METHOD)
    if assertion.audience not in _audiences(client):
        raise TokenRejected(Reason.AUDIENCE)
    registered = client_methods.signing_algorithm(client)
    if registered and not same_algorithm(registered, assertion.algorithm):
        raise TokenRejected(Reason.ALGORITHM)


def _audiences(client: clients.Client) -> set[str]:
    """Return what ``aud`` may be: our issuer.

    The token endpoint's URL is refused, as a client may use one key at many servers: a hostile one could tell it that
    our endpoint is its own, and collect assertions for us. An operator may take it from a client of theirs.
    """
    allowed = {lazyauth_settings.issuer}
    is_compat = client.client_id in lazyauth_settings.assertion_audience_compat
    if is_compat and not clients.is_self_registered(client):
        allowed.update(map(_endpoint_url, ENDPOINTS))
    return allowed


def _endpoint_url(name: str) -> str:
    try:
        return lazyauth_settings.issuer_origin + reverse(f"lazyauth:{name}")
    except NoReverseMatch:
        return lazyauth_settings.issuer


def _limit(client: clients.Client) -> None:
    """Bound the rows that strangers can have written. The signature holds, so nobody else counts for the client."""
    if not clients.is_self_registered(client):
        return
    match ASSERTIONS_OF_STRANGER.judge(client.client_id):
        case Verdict.BEYOND:
            raise TooManyRequests(
                "This client sent too many assertions. Try again later.",
                retry_after=ASSERTIONS_OF_STRANGER.seconds_left(),
            )
        case Verdict.UNKNOWN:
            # Without a count the limit cannot hold.
            raise TemporarilyUnavailable("Clients cannot authenticate with keys at the moment.")


@retries_on_conflict
def _spend(assertion: Assertion, digest: str) -> bool:
    """Remember *assertion* in a transaction of its own; ``False`` if it was used before."""
    using = router.db_for_write(UsedProof)
    # One statement is a transaction of its own, in one round trip to the database. Inside another one this raises.
    is_inside = connections[using].in_atomic_block
    try:
        with transaction.atomic(using=using, durable=True) if is_inside else nullcontext():
            _row(assertion, digest).save(using=using, force_insert=True)
    except IntegrityError:
        return False
    return True


def _row(assertion: Assertion, digest: str) -> UsedProof:
    return UsedProof(digest=digest, kind=ProofKind.CLIENT_ASSERTION, expires_at=assertion.expires_at + KEPT)
