"""Did the last person get through at a provider? Kept in the provider's row, for the admin and ``check_provider``.

The row also counts how often people were asked for consent once more and that brought no refresh token.

A sign-in reads the row, and writes it once a minute at most unless something changed. Providers without keys get a row
by it. Nothing is kept of SSO domains: their names come from strangers.

Not here: whether keys and metadata could be fetched, which the same row says (``openid/stored_keys``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, router
from django.db.models import F
from django.utils import timezone

from django_lazyauth.kit.observe import measure
from django_lazyauth.kit.retry import drop_if_broken
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.openid.descriptor import SSO_PREFIX

logger = logging.getLogger("django_lazyauth.upstream")

#: How exact the two times are. It also bounds how often the row is written.
RESOLUTION: Final = timedelta(minutes=1)
FAILURE_LENGTH: Final = 64
#: Rules of the subject in one row.
RULES_KEPT: Final = 8
#: A provider that gave no refresh token so often in a row is not asked again for that long.
IN_VAIN: Final = 3
REST: Final = timedelta(hours=24)


def note_success(provider: str, subject_rule: Any = None) -> None:
    """Note that *provider* said who somebody is. A database that fails here fails nobody.

    Args:
        subject_rule: What names its people, as the row keeps it; nothing for a provider without one.
    """
    measure.count(measure.SIGN_INS, measure.provider_label(provider), "signed_in")
    _note(provider, "signed_in_at", {}, subject_rule)


def note_failure(provider: str, reason: str, detail: str) -> None:
    """Note that *provider* could not; *reason* and *detail* are words of ours. A database that fails fails nobody."""
    words = reason if detail in ("", reason) else f"{reason}: {detail}"
    _note(provider, "failed_at", {"failure": words[:FAILURE_LENGTH]})


def _note(provider: str, column: str, values: dict[str, Any], subject_rule: Any = None) -> None:
    if provider.startswith(SSO_PREFIX):
        return
    using = router.db_for_write(ProviderKeySet)
    rows = ProviderKeySet.objects.using(using).filter(pk=provider)
    now = timezone.now()
    with _failing_nobody(provider, using):
        known: Any = rows.values("signed_in_at", "failed_at", "failure", "subject_rules").first()
        if subject_rule is not None and subject_rule not in (
            earlier := known["subject_rules"] if known else []
        ):
            values = {**values, "subject_rules": [*earlier, subject_rule][-RULES_KEPT:]}
        if known is None:
            row = ProviderKeySet(provider=provider, **{column: now}, **values)
            ProviderKeySet.objects.using(using).bulk_create([row], ignore_conflicts=True)
        elif _says_something_new(known, column, values, now - RESOLUTION):
            # Of processes that read the same row one writes.
            rows.filter(**{column: known[column]}).update(**{column: now}, **values)


@contextmanager
def _failing_nobody(provider: str, using: str) -> Iterator[None]:
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        drop_if_broken(using)
        logger.warning("%s: how a sign-in went was not noted: %s", provider, type(error).__name__)


def _says_something_new(known: dict[str, Any], column: str, values: dict[str, Any], since: Any) -> bool:
    """Say whether the time is due, the words are others, or the last sign-in went the other way."""
    noted = known[column]
    other = known["failed_at" if column == "signed_in_at" else "signed_in_at"]
    return (
        noted is None
        or noted < since
        or (other is not None and other > noted)
        or any(known[name] != value for name, value in values.items())
    )


# -- asked for consent once more -----------------------------------------------------------------------------


def brings_refresh_tokens(provider: str) -> bool:
    """Say whether people may be asked for consent once more at *provider*."""
    using = router.db_for_write(ProviderKeySet)
    row = ProviderKeySet.objects.using(using).filter(pk=provider).first()
    return row is None or rests_until(row) is None


def rests_until(row: ProviderKeySet) -> datetime | None:
    """Return until when nobody is asked for consent once more there; ``None`` where people are."""
    if row.asked_in_vain < IN_VAIN or row.asked_in_vain_at is None:
        return None
    ends_at: datetime = row.asked_in_vain_at + REST
    return ends_at if ends_at > timezone.now() else None


def note_asked_again(provider: str, *, brought: bool) -> None:
    """Note whether asking once more brought a refresh token. A database that fails here fails nobody."""
    using = router.db_for_write(ProviderKeySet)
    rows = ProviderKeySet.objects.using(using).filter(pk=provider)
    with _failing_nobody(provider, using):
        if brought:
            rows.filter(asked_in_vain__gt=0).update(asked_in_vain=0)
        else:
            rows.update(asked_in_vain=F("asked_in_vain") + 1, asked_in_vain_at=timezone.now())
