"""What did not work on a leg to a provider: which of a few reasons it is, how loud it is, and its line of the log.

What is no fault of the person is noted in the provider's row too.

A failure has a reference. The person reads it at the end of the page, and the operator finds the line by it. The line
holds words of ours and the error code of the upstream. It never holds a description, an answer, a token or an address.

Not here: what the person reads (``web/choose``).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django_lazyauth.errors import IdentityRejected, ProviderDenied, ProviderError, ProviderUnavailable
from django_lazyauth.kit.observe import measure
from django_lazyauth.models import Noted, Reason
from django_lazyauth.upstream import health

logger = logging.getLogger("django_lazyauth.upstream")

#: Every reason, with the level of its line. Only the ones above WARNING need an operator.
LEVELS: Final[Mapping[str, int]] = {
    "cancelled": logging.INFO,
    "needs_interaction": logging.INFO,
    "not_allowed": logging.INFO,
    "no_account": logging.INFO,
    "down": logging.WARNING,
    #: None of the others: the flow cannot be served, or a class of the host's own failed.
    "unavailable": logging.WARNING,
    "misconfigured": logging.ERROR,
    "refused": logging.ERROR,
}

#: Whether the provider works is not in question.
OF_THE_PERSON: Final = frozenset(reason for reason, level in LEVELS.items() if level == logging.INFO)

#: What an upstream says when this site is registered or configured wrongly there (RFC 6749 §4.1.2.1, §5.2). The last
#: two are GitHub's.
_SET_UP_WRONGLY: Final = frozenset(
    {
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
        "incorrect_client_credentials",
        "redirect_uri_mismatch",
    }
)
_IS_DOWN: Final = frozenset({"server_error", "slow_down", "temporarily_unavailable"})
#: Words of our own, and the reason that each belongs to.
_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("bad_answer", "code_refused", "malformed_callback"), "refused"),
    **dict.fromkeys(
        (
            "encrypted_id_token",
            "endpoint",
            "incomplete",
            "issuer_mismatch",
            "mtls",
            "no_keys",
            "not_a_key_set",
            "not_found",
            "not_https",
            "par",
            "redirect",
            "request_object",
            "url",
        ),
        "misconfigured",
    ),
    **dict.fromkeys(
        (
            "broken",
            "connect",
            "dns",
            "keys_stale",
            "mail",
            "not_json",
            "not_ready",
            "status",
            "timeout",
            "tls",
        ),
        "down",
    ),
    "unreachable": "down",
}
#: What a person is asked for by the same provider the next time, as ``prompt`` (OpenID Connect Core §3.1.2.1).
NEXT_PROMPTS: Final[Mapping[str, str]] = {"needs_interaction": "login", "not_allowed": "select_account"}


#: What the log of sign-ins names by itself, by the finer word.
_NAMED: Final[Mapping[str, Reason]] = {
    **dict.fromkeys(("exp", "iat", "nbf", "too_old"), Reason.CLOCK),
    "keys_stale": Reason.KEYS_OVERDUE,
    "taken": Reason.DUPLICATE,
    "deactivated": Reason.DEACTIVATED,
    "somebody_else": Reason.SOMEBODY_ELSE,
    "fault": Reason.FAULT,
}
#: What an upstream says of a wrong client id or secret (RFC 6749 §5.2). The last one is GitHub's.
_WRONG_SECRET: Final = frozenset({"invalid_client", "incorrect_client_credentials"})


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure, as it was logged.

    Attributes:
        reason: A key of :data:`LEVELS`.
        detail: The finer word of whoever found it; of ours, safe to show.
        reference: Eight characters, the same in the log and on the page.
        noted: The same for the row of the sign-in.
    """

    reason: str
    detail: str
    reference: str
    noted: Noted | None = None


def log_failed_leg(provider: str, error: ProviderError, *, stage: str, seconds: float) -> Failure:
    """Log why *provider* could not sign the person in.

    Args:
        provider: Logical name; empty where no provider is concerned.
        error: What the provider raised.
        stage: What was being done, where *error* does not say it.
        seconds: How long it took.
    """
    return _log(provider, error, reason=reason_of(error), stage=error.stage or stage, seconds=seconds)


def log_no_account(provider: str, detail: str, *, who: tuple[str, str] = ("", "")) -> Failure:
    """Log that this site refused a person whom *provider* signed in; *detail* is one word of ours.

    Args:
        who: Subject and e-mail address, for the row of the sign-in. The log has neither.
    """
    return _log(provider, ProviderError(detail, who=who), reason="no_account", stage="account")


def reason_of(error: ProviderError) -> str:
    """Return what kind of failure *error* is: a key of :data:`LEVELS`."""
    if error.reason in LEVELS and not (
        isinstance(error, ProviderUnavailable) and error.reason in OF_THE_PERSON
    ):
        return error.reason
    if isinstance(error, ProviderDenied):
        return "cancelled"
    if isinstance(error, IdentityRejected):
        return "refused"
    status = error.http_status or 0
    if error.upstream_error in _IS_DOWN or status >= 500 or status == 429:
        return "down"
    is_wrong_place = status in (401, 403, 404) or 300 <= status < 400
    if error.upstream_error in _SET_UP_WRONGLY or (is_wrong_place and not error.upstream_error):
        return "misconfigured"
    return _WORDS.get(error.reason, "unavailable")


def _log(
    provider: str, error: ProviderError, *, reason: str, stage: str, seconds: float | None = None
) -> Failure:
    reference = secrets.token_hex(4).upper()
    failure = Failure(
        reason,
        error.reason,
        reference,
        _noted(provider, error, reason=reason, stage=stage, reference=reference),
    )
    label = measure.provider_label(provider)
    measure.count(measure.SIGN_INS, label, reason)
    if provider and reason not in OF_THE_PERSON:
        measure.count(measure.UPSTREAM_ERRORS, label, reason)
        health.note_failure(provider, reason, error.reason)
    said = {
        "reference": failure.reference,
        "provider": provider,
        "stage": stage,
        "reason": reason,
        "detail": error.detail,
        "upstream_error": error.upstream_error,
        "http_status": error.http_status,
        "seconds": None if seconds is None else round(seconds, 3),
    }
    words = " ".join(f"{name}={value}" for name, value in said.items() if value not in ("", None))
    logger.log(LEVELS[reason], "sign-in failed: %s", words, extra=said)
    return failure


def _noted(provider: str, error: ProviderError, *, reason: str, stage: str, reference: str) -> Noted:
    subject, email = error.who
    detail = error.upstream_error or error.detail
    return Noted(_reason_for_log(reason, error), provider, stage, detail, reference, subject, email)


def _reason_for_log(reason: str, error: ProviderError) -> Reason:
    if error.upstream_error in _WRONG_SECRET:
        return Reason.WRONG_SECRET
    named = _NAMED.get(error.reason)
    if named is not None:
        return named
    return Reason.REFUSED_HERE if reason == "no_account" else Reason(reason)
