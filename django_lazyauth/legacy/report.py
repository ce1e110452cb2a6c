"""The report of a migration: counts, and for rows that could not be moved the digest of the key and the reason.

It holds no data of a row: no subject, address, token or user. The list of rows is limited, so that a million bad rows
cost no memory. The counts are complete.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.models.fields import digest

#: Rows that a report lists.
MAX_PROBLEMS: Final = 1000


class Reason(StrEnum):
    """Why a row was not moved. It stays where it is."""

    NOT_TEXT = "not_text"
    NOT_JSON = "not_json"
    MALFORMED = "malformed"
    NO_TOKENS = "no_tokens"
    SESSION_MALFORMED = "session_malformed"
    SUBJECT_MISSING = "subject_missing"
    SUBJECT_IS_ADDRESS = "subject_is_address"
    SUBJECT_FOREIGN = "name_the_subject"
    USER_UNKNOWN = "user_unknown"
    USER_ELSEWHERE = "user_of_another_system"
    CLIENT_UNKNOWN = "client_unknown"
    PROVIDER_MISSING = "no_provider_of_this_type"
    PROVIDER_AMBIGUOUS = "name_the_provider"
    ISSUER_DIFFERS = "issuer_differs"
    NOT_SEALED = "not_sealed"
    REFUSED = "refused_by_the_database"
    OTHERS = "session_of_another"
    UNREADABLE = "new_row_unreadable"
    NOT_READ_BACK = "not_read_back"
    IDENTITY_OF_ANOTHER = "identity_of_another_user"
    CHANGED = "changed_meanwhile"


#: The reasons in words.
EXPLAINED: Final = {
    Reason.NOT_TEXT: "the key holds no text",
    Reason.NOT_JSON: "the value is not JSON",
    Reason.MALFORMED: "a value is of the wrong kind, too long, or no text",
    Reason.NO_TOKENS: "there is neither an access token nor a refresh token",
    Reason.SESSION_MALFORMED: "the session is no UUID",
    Reason.SUBJECT_MISSING: "it does not say who the person is at the provider",
    Reason.SUBJECT_FOREIGN: "its id is not the subject that our sign-in uses: name the claim with --subject",
    Reason.SUBJECT_IS_ADDRESS: "it knows the person by an e-mail address, which links nobody",
    Reason.USER_UNKNOWN: "there is no such user",
    Reason.USER_ELSEWHERE: "its user is another system's, and that identity belongs to nobody here yet",
    Reason.CLIENT_UNKNOWN: "there is no such client",
    Reason.PROVIDER_MISSING: "no configured provider has this type",
    Reason.PROVIDER_AMBIGUOUS: (
        "more than one provider could be meant: name one with --provider, or give the entry the name that it has there"
    ),
    Reason.ISSUER_DIFFERS: "it comes from another issuer than that provider's",
    Reason.NOT_SEALED: "the cipher failed",
    Reason.REFUSED: "the database refused the row",
    Reason.OTHERS: "a new row of another user or client stands at its place",
    Reason.UNREADABLE: "the new row at its place cannot be opened",
    Reason.NOT_READ_BACK: "the new row was not there when it was read back",
    Reason.IDENTITY_OF_ANOTHER: "the identity belongs to another user",
    Reason.CHANGED: "somebody kept changing it: run the command again",
}


class MigrationStopped(LazyAuthError):
    """The run cannot start or continue. Moved rows stay moved. The message holds no data."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that was not moved: SHA-256 of its key, and why."""

    key: str
    reason: Reason

    @classmethod
    def of(cls, key: str, reason: Reason) -> Problem:
        # A key from another system may hold characters that cannot be encoded.
        return cls(digest(key.encode("utf-8", "surrogatepass").hex() if _is_odd(key) else key), reason)


def _is_odd(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


@dataclass(slots=True)
class Identities:
    """Counts of identities: written under a new name, there before, deleted under the old one."""

    added: int = 0
    existed: int = 0
    pruned: int = 0


@dataclass(slots=True)
class Report:
    """Counts of one run.

    Attributes:
        read: Rows that were read.
        moved: Rows that this run wrote to the vault.
        existed: Rows for which the vault had a newer one, which won.
        dead: Moved rows of deactivated users. They never give a token.
        unclaimed: Rows that name a configured provider, or one that was not chosen. They stay.
        newer: Keys of a newer format, ``upstream:<session>:<provider>``. They stay.
        remaining: Rows left in the table; ``None`` for other sources.
    """

    source: str
    dry_run: bool = False
    read: int = 0
    moved: int = 0
    existed: int = 0
    dead: int = 0
    unclaimed: int = 0
    newer: int = 0
    remaining: int | None = None
    seconds: float = 0.0
    identities: Identities = field(default_factory=Identities)
    reasons: Counter[Reason] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return self.reasons.total()

    def fail(self, problem: Problem) -> None:
        self.reasons[problem.reason] += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "source": self.source,
            "dry_run": self.dry_run,
            "read": self.read,
            "moved": self.moved,
            "existed": self.existed,
            "dead": self.dead,
            "unclaimed": self.unclaimed,
            "newer": self.newer,
            "failed": self.failed,
            "remaining": self.remaining,
            "identities": {
                "added": self.identities.added,
                "existed": self.identities.existed,
                "pruned": self.identities.pruned,
            },
            "reasons": {str(reason): count for reason, count in sorted(self.reasons.items())},
            "problems": [{"key": problem.key, "reason": str(problem.reason)} for problem in self.problems],
            "problems_not_listed": self.failed - len(self.problems),
            "seconds": round(self.seconds, 3),
        }
