"""A client acts for itself (RFC 6749 §4.4)."""

from __future__ import annotations

from typing import Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from django_lazyauth.errors import InvalidScope, UnauthorizedClient
from django_lazyauth.tokens.access import are_jwts
from django_lazyauth.tokens.grantee import Grantee
from django_lazyauth.tokens.issue import issue
from django_lazyauth.tokens.writes import Insert
from django_lazyauth.toolkit import clients, scopes
from django_lazyauth.users.subjects import is_subject

from .checks import proved_client, requested_resources
from .contract import Form, Outcome, Prepared, TokenAnswer
from .proof import require_proof, thumbprint_of, write

GRANT_TYPE: Final = "client_credentials"


def client_credentials(form: Form, prepared: Prepared) -> Outcome:
    """Answer a token request of a client that acts for itself (RFC 6749 §4.4.2)."""
    client = proved_client(form, prepared, GRANT_TYPE)
    require_proof(client, prepared.proof)
    grantee = Grantee(
        client=client,
        user=None,
        scopes=_scopes(form, client),
        resources=requested_resources(form),
        jkt=thumbprint_of(prepared.proof),
    )
    if are_jwts() and _names_a_user(client.client_id):
        # A resource that reads `sub` alone would take the client for that person (RFC 9700 §4.15).
        raise UnauthorizedClient("The id of this client is also that of a user.")
    issued = issue(grantee)
    write(map(Insert, issued.rows), prepared.proof)
    return Outcome(TokenAnswer(issued.body))


def _scopes(form: Form, client: clients.Client) -> tuple[str, ...]:
    """Return the scopes asked for, or the defaults (RFC 6749 §3.3)."""
    scope = form.get("scope")
    request = form.http_request
    asked = scopes.requested_scopes(scope) if scope else scopes.default_scopes(client, request)
    if refusal := scopes.refusal_of(client, asked, request):
        raise InvalidScope(refusal)
    return tuple(asked)


def _names_a_user(text: str) -> bool:
    """Say whether *text* is the ``sub`` or the primary key of some user. No query where it could not be."""
    if is_subject(text):
        return True
    model = get_user_model()
    try:
        pk = model._meta.pk.to_python(text)
        return str(pk) == text and bool(model._base_manager.filter(pk=pk).exists())
    except (ValidationError, ValueError, OverflowError):
        return False
