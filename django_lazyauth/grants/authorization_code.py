"""Redeem a code (RFC 6749 §4.1.3). What is written then stands in :mod:`.exchange.redeem`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import partial
from typing import Final

from django_lazyauth.clients.redirects import redirect_uri_allowed
from django_lazyauth.errors import InvalidGrant, InvalidRequest
from django_lazyauth.kit.observe.log_context import note_session
from django_lazyauth.models import GrantKind, PendingAuthorization
from django_lazyauth.models.locked_code import LockedCode, lock_code
from django_lazyauth.toolkit import clients

from .checks import authenticated_client
from .contract import Form, Outcome, Prepared
from .exchange.redeem import finish, judged, redeem, require_good

GRANT_TYPE: Final = "authorization_code"


def authorization_code(form: Form, prepared: Prepared) -> Outcome:
    """Answer a token request with a code (RFC 6749 §4.1.3)."""
    locked = lock_code(form.require("code"))
    if locked is not None and locked.pending.grant != GrantKind.CODE:
        # The code of a device, which has no verifier.
        locked = None
    return judged(locked, partial(_redeem, form, prepared, locked))


def _redeem(form: Form, prepared: Prepared, locked: LockedCode | None) -> Outcome:
    client = authenticated_client(form, prepared, GRANT_TYPE, locked.pending.client if locked else None)
    if locked is None:
        raise InvalidGrant
    pending = locked.pending
    note_session(pending.pk)
    require_good(locked, client)
    _check_verifier(form, pending)
    _check_redirect_uri(form, client, pending)
    return finish(redeem(form, prepared, locked, client), pending, prepared)


def _check_verifier(form: Form, pending: PendingAuthorization) -> None:
    """PKCE, always with S256 (RFC 7636 §4.6)."""
    verifier = form.require("code_verifier", "Code verifier required.")
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    if not hmac.compare_digest(hashed, pending.code_challenge):
        raise InvalidGrant


def _check_redirect_uri(form: Form, client: clients.Client, pending: PendingAuthorization) -> None:
    """The very URI of the authorization request (RFC 6749 §4.1.3). A client that has only one may leave it out."""
    redirect_uri = form.get("redirect_uri")
    if not redirect_uri:
        registered = client.redirect_uris.split()
        if len(registered) != 1:
            raise InvalidRequest("Missing redirect URI.")
        (redirect_uri,) = registered
    if redirect_uri != pending.redirect_uri:
        raise InvalidGrant("redirect_uri is not the one of the authorization request.")
    if not redirect_uri_allowed(client, redirect_uri):
        # Whoever reads what is sent there has the code, and need not be the client any more.
        raise InvalidGrant("redirect_uri is not registered any more.")
