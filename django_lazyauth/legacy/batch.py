"""One batch of legacy rows: checked, sealed, written and read back.

It runs in the transaction of the caller, which then retires the rows that may go. An error in a row becomes a problem
of that row.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import LazyAuthError
from django_lazyauth.providers.base import Identity
from django_lazyauth.vault.store import UpstreamBundle

from . import bulk
from .bulk import Sealed, Standing
from .identities import link_all, owners
from .names import Names, Unmapped, issuer_differs
from .report import Problem, Reason, Report
from .source import LegacyRow, Malformed, Models, checked_tokens, session_uuid, unverified_identity

PROBLEMS: Final = {
    Standing.OTHERS: Reason.OTHERS,
    Standing.UNREADABLE: Reason.UNREADABLE,
    Standing.NOTHING: Reason.NOT_READ_BACK,
}


class _Refused(LazyAuthError):
    """This row cannot be moved."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class Ready:
    """An old row with what is written for it."""

    row: LegacyRow
    identity: Identity | None
    sealed: Sealed | None
    is_dead: bool


@dataclass(slots=True)
class Outcome:
    """The result of a batch. It is added to the report after the commit."""

    read: int = 0
    unclaimed: int = 0
    identities_added: int = 0
    identities_existed: int = 0
    written: list[Ready] = field(default_factory=list)
    earlier: list[Ready] = field(default_factory=list)
    linked: list[Ready] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    #: Handles with a row that stays.
    kept: set[Any] = field(default_factory=set)

    def keep(self, row: LegacyRow, reason: Reason) -> None:
        self.problems.append(Problem.of(row.key, reason))
        self.kept.add(row.handle)

    @property
    def retirable(self) -> list[LegacyRow]:
        """The rows that may be retired: all rows of their handle were read back."""
        found = (ready.row for ready in (*self.written, *self.earlier, *self.linked))
        return [row for row in found if row.handle not in self.kept]

    def remove(self, keys: set[str]) -> list[Sealed]:
        """Remove the rows of *keys* from the result and return the bundles that this batch wrote for them."""
        ours = [ready.sealed for ready in self.written if ready.row.key in keys and ready.sealed]
        self.written = [ready for ready in self.written if ready.row.key not in keys]
        self.earlier = [ready for ready in self.earlier if ready.row.key not in keys]
        self.read -= len(keys)
        return ours

    def add_to(self, report: Report) -> None:
        """Add the result to *report*."""
        report.read += self.read
        report.moved += len(self.written)
        report.existed += len(self.earlier)
        report.dead += sum(ready.is_dead for ready in self.written)
        report.unclaimed += self.unclaimed
        report.identities.added += self.identities_added
        report.identities.existed += self.identities_existed
        for problem in self.problems:
            report.fail(problem)


@dataclass(frozen=True, slots=True)
class BatchWriter:
    """Moves batches with the same names and models."""

    names: Names
    models: Models
    dry_run: bool = False

    @sensitive_variables()
    def write(self, rows: Sequence[LegacyRow | Problem]) -> Outcome:
        """Write a batch and read it back, in the caller's transaction."""
        outcome = Outcome(read=len(rows))
        ready = self._prepare(rows, outcome)
        ready = self._link(ready, outcome)
        outcome.linked = [one for one in ready if one.sealed is None]
        bundles = [one for one in ready if one.sealed is not None]
        sealed = [one.sealed for one in bundles if one.sealed is not None]
        if not self.dry_run:
            bulk.write_absent(sealed, model=self.models.bundle, using=self.models.using)
        standings = bulk.read_back(sealed, model=self.models.bundle, using=self.models.using)
        for one, standing in zip(bundles, standings, strict=True):
            if standing is Standing.WRITTEN or (standing is Standing.NOTHING and self.dry_run):
                outcome.written.append(one)
            elif standing is Standing.EARLIER:
                outcome.earlier.append(one)
            else:
                outcome.keep(one.row, PROBLEMS[standing])
        return outcome

    def _prepare(self, rows: Sequence[LegacyRow | Problem], outcome: Outcome) -> list[Ready]:
        users = self._users({row.user_id for row in rows if isinstance(row, LegacyRow)} - {None})
        rows = self._with_owners(rows, users)
        end = timezone.now() + lazyauth_settings.vault_retention
        prepared = []
        for row in rows:
            if isinstance(row, Problem):
                outcome.problems.append(row)
                continue
            try:
                name = self.names.name_of(row.provider_id)
                if name is None:
                    outcome.unclaimed += 1
                    outcome.kept.add(row.handle)
                    continue
                prepared.append(self._ready(row, name, users, end))
            except (Unmapped, _Refused) as error:
                outcome.keep(row, error.reason)
            except Malformed:
                outcome.keep(row, Reason.MALFORMED)
        return prepared

    def _with_owners(
        self, rows: Sequence[LegacyRow | Problem], users: dict[Any, bool]
    ) -> Sequence[LegacyRow | Problem]:
        """Give the rows of another system's users to the owners of their identities, who are added to *users*."""
        foreign = {}
        for row in rows:
            if isinstance(row, LegacyRow) and row.is_foreign and row.subject and row.user_id not in users:
                with suppress(Unmapped):
                    foreign[row.key] = Identity(self.names.name_of(row.provider_id) or "", row.subject)
        if not foreign:
            return rows
        known = owners(list(foreign.values()), self.models)
        users |= self._users(set(known.values()))
        return [
            replace(row, user_id=known.get((foreign[row.key].provider, row.subject)))
            if isinstance(row, LegacyRow) and row.key in foreign
            else row
            for row in rows
        ]

    def _users(self, keys: set[Any]) -> dict[Any, bool]:
        """Return the existing users, each with whether they are active."""
        users = self.models.user._default_manager.using(self.models.using).filter(pk__in=keys)
        if not any(field.name == "is_active" for field in self.models.user._meta.get_fields()):
            return dict.fromkeys(users.values_list("pk", flat=True), True)
        return dict(users.values_list("pk", "is_active"))

    @sensitive_variables()
    def _ready(self, row: LegacyRow, name: str, users: dict[Any, bool], end: datetime) -> Ready:
        if row.user_id not in users:
            raise _Refused(Reason.USER_ELSEWHERE if row.is_foreign else Reason.USER_UNKNOWN)
        if issuer_differs(name, row.issuer):
            raise _Refused(Reason.ISSUER_DIFFERS)
        identity = replace(row.identity, provider=name) if row.identity else None
        is_active = users[row.user_id]
        if row.tokens is None:
            return Ready(row, identity, None, not is_active)
        return Ready(row, identity, self._seal(row, name, end, is_dead=not is_active), not is_active)

    @sensitive_variables()
    def _seal(self, row: LegacyRow, name: str, end: datetime, *, is_dead: bool) -> Sealed:
        if row.tokens is None:
            raise _Refused(Reason.NO_TOKENS)
        tokens = checked_tokens(row.tokens)
        if not tokens.access_token and not tokens.refresh_token:
            raise _Refused(Reason.NO_TOKENS)
        issuer, subject = unverified_identity(tokens.id_token)
        if issuer_differs(name, issuer):
            raise _Refused(Reason.ISSUER_DIFFERS)
        if not (row.subject or subject):
            raise _Refused(Reason.SUBJECT_MISSING)
        if row.client_id is None:
            raise _Refused(Reason.CLIENT_UNKNOWN)
        try:
            session_id = session_uuid(row.session)
        except Malformed:
            raise _Refused(Reason.SESSION_MALFORMED) from None
        bundle = UpstreamBundle(
            session_id=session_id,
            provider=name,
            user_id=row.user_id,
            client_id=row.client_id,
            subject=row.subject or subject,
            **tokens.values(),
            is_dead=is_dead,
        )
        try:
            return bulk.seal_row(bundle, retain_until=row.retain_until or end)
        except Exception:  # noqa: BLE001 - a host's cipher may raise anything, and its text may hold a token
            raise _Refused(Reason.NOT_SEALED) from None

    def _link(self, ready: list[Ready], outcome: Outcome) -> list[Ready]:
        """Link the identities of a batch. Drop the rows whose identity belongs to another user."""
        people = {
            (one.identity.provider, one.identity.subject): (one.identity, one.row.user_id)
            for one in reversed(ready)
            if one.identity
        }
        if not people:
            return ready
        if self.dry_run:
            linked = {key: (user_id, True) for key, (_, user_id) in people.items()}
            known = owners([identity for identity, _ in people.values()], self.models)
            linked |= {key: (owner, False) for key, owner in known.items()}
        else:
            linked = link_all(list(people.values()), models=self.models)
        outcome.identities_added += sum(is_new for _, is_new in linked.values())
        outcome.identities_existed += sum(not is_new for _, is_new in linked.values())
        settled = []
        for one in ready:
            key = (one.identity.provider, one.identity.subject) if one.identity else None
            if key is None or linked.get(key, (None,))[0] == one.row.user_id:
                settled.append(one)
            else:
                outcome.keep(one.row, Reason.IDENTITY_OF_ANOTHER)
        return settled
