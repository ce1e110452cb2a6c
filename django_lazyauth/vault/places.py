"""For which place each value of the vault is sealed, and what a ticket says (I12).

A session reaches a grant by its ticket only. A ticket that is moved to another session does not open, and one that was
sealed for another grant names another.
"""

from __future__ import annotations

from functools import lru_cache
from json.encoder import encode_basestring_ascii as _json_string
from typing import Any, Final, NamedTuple
from uuid import UUID

from django_lazyauth.errors import SealBroken
from django_lazyauth.models import UpstreamGrant

from .cipher import Place, get_cipher

#: The sealed columns of a grant, and of a row of an earlier release together with :data:`OWN_COLUMNS`.
GRANT_COLUMNS: Final = ("access_token", "refresh_token")
#: What is the session's own.
OWN_COLUMNS: Final = ("id_token",)
TICKET: Final = "ticket"
#: Stands where a contract wants a session and none is left (RFC 9562 §5.9).
NO_SESSION: Final = UUID(int=0)
#: Tickets that a process remembers, of some 1,500 bytes each. A session calls its upstream more than once.
TICKETS: Final = 8192


class GrantKey(NamedTuple):
    """Which grant, and whose. ``provider`` is the one that it is kept under; a session may name another one."""

    grant_id: UUID
    provider: str
    user_id: Any
    subject: str

    def place(self, column: str) -> Place:
        """Return the place that a token of the grant is sealed for."""
        return Place("UpstreamGrant", self.grant_id, self.provider, column, (str(self.user_id), self.subject))

    def ticket(self) -> str:
        """Return the text of a ticket to the grant: JSON, written by hand for the same reason as a place."""
        return f'["{self.grant_id}", {_json_string(str(self.user_id))}, {_json_string(self.subject)}]'


def key_of(grant: UpstreamGrant) -> GrantKey:
    """Return what the tokens of *grant* are sealed for."""
    return GrantKey(grant.pk, grant.provider, grant.user_id, grant.subject)


def place_of(session_id: Any, provider: str, column: str) -> Place:
    """Return the place that a value of a session is sealed for."""
    return Place("UpstreamToken", session_id, provider, column)


def deferral_place(session_id: UUID, provider: str) -> Place:
    """Return the place that what a request deferred is sealed for."""
    return Place("DeferredRegistration", session_id, provider, "commit")


def seal_ticket(session_id: UUID, provider: str, key: GrantKey) -> str:
    """Return the ticket by which a session reaches a grant, at the provider that the session signed in with."""
    return get_cipher().seal(key.ticket(), place_of(session_id, provider, TICKET))


@lru_cache(maxsize=TICKETS)
def check_ticket(ticket: str, session_id: UUID, provider: str, key: GrantKey) -> Place:
    """Check that *ticket* leads this session to this grant, and return the place of its access token.

    That is true for ever, so a process checks each ticket once.

    Raises:
        SealBroken: It does not. No process remembers that.
    """
    if get_cipher().open(ticket, place_of(session_id, provider, TICKET)) != key.ticket():
        raise SealBroken("the ticket is for another grant")
    return key.place("access_token")
