"""Check a DPoP proof under the settings of this site, and answer as RFC 9449 has it.

A resource server without a table of ours uses it too.
"""

from __future__ import annotations

import logging
from typing import Final

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import allowed_algorithms, lazyauth_settings
from django_lazyauth.errors import InvalidDpopProof, UseDpopNonce
from django_lazyauth.kit.crypto.single_use import use_digest
from django_lazyauth.kit.crypto.site_keys import keys_for
from django_lazyauth.openid.jose import LEEWAY, Reason, TokenRejected

from . import nonce as nonces
from .proof import ALGORITHMS, WINDOW, Expected, Proof, verify_proof

logger = logging.getLogger("django_lazyauth.dpop")

#: The kind of use, beside other things that are signed to be used once.
KIND: Final = "dpop_proof"
#: Seconds for which a used proof has to be remembered: an ``iat`` may be as far ahead as it may be behind later, and
#: the clocks of two processes may differ.
REMEMBERED: Final = 2 * WINDOW + LEEWAY
_PURPOSE: Final = b"django_lazyauth DPoP nonce v1"


@sensitive_variables()
def check_proof(text: str, *, method: str, url: str, access_token: str | None = None) -> Proof:
    """Return what the proof in a ``DPoP`` header says. Whether it was used before is the caller's to find out.

    Args:
        text: The header; empty where it is empty or missing.
        url: Of the request, absolute, as clients know it: never built on ``Host``.
        access_token: The token that the request brings, at a resource.

    Raises:
        InvalidDpopProof: It does not hold.
        UseDpopNonce: It needs a nonce, or its nonce is not known. Nothing was used up.
    """
    expected = Expected(
        method=method,
        url=url,
        access_token=access_token,
        nonce_policy=lazyauth_settings.dpop.nonce,
        nonce_keys=keys_for(_PURPOSE),
        algorithms=allowed_algorithms(ALGORITHMS),
    )
    try:
        return verify_proof(text, expected, timezone.now())
    except TokenRejected as rejected:
        if rejected.reason is Reason.NONCE:
            raise UseDpopNonce("The DPoP proof needs the nonce of this answer.", nonce=next_nonce()) from None
        raise refused(rejected.reason) from None


def refused(reason: str) -> InvalidDpopProof:
    """Return the error for a proof that does not hold. The log gets the reason, the client one sentence."""
    logger.info("a DPoP proof was refused: %s", reason)
    return InvalidDpopProof("The DPoP proof is not valid.", debug=reason)


def next_nonce() -> str:
    """Return a nonce that every process of this site takes for the next four to five minutes."""
    return nonces.nonce_at(keys_for(_PURPOSE)[0], timezone.now().timestamp())


def nonce_headers(proof: Proof | None) -> dict[str, str]:
    """Return the header that gives a client its next nonce, where it will need one (RFC 9449 §8.2)."""
    if proof is None or (lazyauth_settings.dpop.nonce != "always" and not proof.has_nonce):
        return {}
    return {"DPoP-Nonce": next_nonce()}


def digest_of_use(proof: Proof) -> str:
    """Return the name of the one use of *proof*: of its key and ``jti``, which nobody can read from it."""
    return use_digest(KIND, proof.thumbprint, proof.token_id)
