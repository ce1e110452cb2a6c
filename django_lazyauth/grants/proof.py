"""When a token request needs a DPoP proof, its one use (RFC 9449 §5), and that of a client assertion (RFC 7523 §3).

Not here: whether a proof holds (:mod:`django_lazyauth.openid.dpop`). That is checked before any transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from django_lazyauth.clients.by_key import prove
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidDpopProof
from django_lazyauth.openid.dpop.check import refused
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.openid.jose import Reason
from django_lazyauth.tokens import binding
from django_lazyauth.tokens.writes import Step, Writes
from django_lazyauth.toolkit import client_policies, clients


def thumbprint_of(proof: Proof | None) -> str:
    """Return the key that a request proves to have; empty without a proof."""
    return proof.thumbprint if proof is not None else ""


def require_proof(client: clients.Client, proof: Proof | None, *, began_bound: bool = False) -> None:
    """Check that tokens of *client* may go without a key, where there is no proof.

    Raises:
        InvalidDpopProof: The site, the client or the session wants bound tokens: no bearer by omission (I24).
    """
    if proof is not None:
        return
    if began_bound or lazyauth_settings.dpop.required or client_policies.wants_bound_tokens(client):
        raise InvalidDpopProof("The tokens of this client are bound to a key: a DPoP proof is needed.")


def write(steps: Iterable[Step], proof: Proof | None, assertion: prove.Proved | None = None) -> None:
    """Write *steps*, and the use of *proof* and *assertion* before them, in the transaction of the grant.

    After all that may refuse, and before anything is spent: a refused grant uses no proof up, and who has no good grant
    writes no row. Of two requests with one proof, one wins, and the other waits for it.

    Raises:
        InvalidDpopProof: The proof was used before. Roll back.
        InvalidClient: The assertion was used before. Roll back.
        LostRace: See :meth:`.Writes.run`.
    """
    used_proof = binding.use(proof) if proof is not None else None
    used_assertion = assertion.use() if assertion is not None else None
    uses = [use for use in (used_assertion, used_proof) if use is not None]
    if written := (*uses, *steps):
        Writes(written).run()
    if used_assertion is not None and used_assertion.row._state.adding:
        raise prove.refused(Reason.USED)
    if used_proof is not None and used_proof.row._state.adding:
        raise refused(Reason.USED)


def require_unused(proof: Proof | None) -> None:
    """Check, where nothing is to be written, that a request is no copy of an earlier one.

    Raises:
        InvalidDpopProof: It is.
    """
    if proof is not None and binding.was_used(proof):
        raise refused(Reason.USED)
