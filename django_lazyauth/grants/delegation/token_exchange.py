"""Exchange a person's access token for one to act with elsewhere (RFC 8693).

It is delegation, never impersonation: the new token says who acts. It has no more than the exchanged token and the
operator's policy both allow, ends with the session, and lives no longer than the exchanged token would have.
"""

from __future__ import annotations

from typing import Final

from django_lazyauth.errors import InvalidRequest
from django_lazyauth.tokens.grantee import Grantee
from django_lazyauth.tokens.issue import issue
from django_lazyauth.tokens.writes import Insert, LostRace, Update
from django_lazyauth.users.subjects import subject_of

from ..contract import Form, Outcome, Prepared, Raced, TokenAnswer
from ..proof import thumbprint_of, write
from .delegation import ACCESS_TOKEN, Delegation, actors, audience, delegation_of, scopes
from .issue_id_jag import ID_JAG, issue_id_jag
from .upstream_token import named_upstream, upstream_answer

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"


def token_exchange(form: Form, prepared: Prepared) -> Outcome:
    """Answer a request to exchange a token (RFC 8693 §2)."""
    if form.get("requested_token_type") == ID_JAG:
        return issue_id_jag(form, prepared)
    delegation = delegation_of(form, prepared)
    if named_upstream(form):
        return upstream_answer(form, prepared, delegation)
    subject = delegation.subject
    grantee = Grantee(
        client=delegation.client,
        user=subject.user,
        # It stays that of the exchanged token: who takes both tokens knows one person.
        subject=subject_of(subject),
        scopes=scopes(form, delegation),
        resources=audience(form, delegation.policy),
        session_id=delegation.session_id,
        authentication=delegation.authentication,
        jkt=thumbprint_of(prepared.proof),
        act=actors(form, prepared, delegation),
        not_after=subject.access_token.expires,
        issued_token_type=ACCESS_TOKEN,
    )
    issued = issue(grantee)
    try:
        write((_touched(delegation), *map(Insert, issued.rows)), prepared.proof)
    except LostRace:
        # Read anew, it may also have been saved by the host, and be good.
        ended = InvalidRequest("The subject token has ended.")
        raise Raced(Outcome(TokenAnswer.of_error(ended))) from None
    return Outcome(TokenAnswer(issued.body), access_token=issued.access_token)


def _touched(delegation: Delegation) -> Update:
    """Return the step that writes to the row of the exchanged token, and changes nothing.

    Whoever ends the session deletes that row, and whoever disables its client changes ``updated``. So one of the two
    waits for the other: either the new token is found by them, or the row is not as it was read (I11, I21, I26).
    """
    row = delegation.subject.access_token
    as_read = {"updated": row.updated}
    return Update(type(row), as_read, where={row._meta.pk.attname: row.pk, **as_read})
