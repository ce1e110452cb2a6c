"""Exchange a person's access token for a token of an upstream: ``audience=upstream:github``.

It is for a server that holds the person's token and calls the upstream for them. Nothing is stored, and the answer has
no refresh token.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import (
    BundleNotFound,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    RefreshError,
    RefreshExpired,
    RefreshTransient,
    TemporarilyUnavailable,
)
from django_lazyauth.upstream.fresh_token import expires_in, fresh_token

from ..contract import Form, Outcome, Prepared, TokenAnswer
from ..proof import write
from .delegation import ACCESS_TOKEN, Delegation, delegation_of

PREFIX: Final = "upstream:"


def named_upstream(form: Form) -> str:
    """Return the upstream that a request names as its audience; empty if it names none.

    Raises:
        InvalidTarget: It names more than that.
    """
    names = [one.removeprefix(PREFIX) for one in form.audiences if one.startswith(PREFIX)]
    if names and len(form.audiences) + len(form.resources) > 1:
        raise InvalidTarget("The token of an upstream is for that upstream alone.")
    return names[0] if names else ""


@sensitive_variables()
def fetch(form: Form, prepared: Prepared) -> Prepared:
    """Return *prepared* with the upstream's token, where the request is for one. No transaction may be open.

    Raises:
        OAuthError: The request is refused, or the upstream's token cannot be had.
    """
    provider = named_upstream(form)
    if not provider:
        return prepared
    delegation = _checked(form, prepared, delegation_of(form, prepared), provider)
    row = delegation.subject.access_token
    try:
        credential = fresh_token(
            delegation.session_id, provider, user_id=row.user_id, client_id=row.application_id
        )
    except BundleNotFound:
        raise InvalidTarget("The person has no account there in this session.") from None
    except RefreshError as error:
        raise _over_oauth(error) from None
    return replace(prepared, upstream=credential)


def _over_oauth(error: RefreshError) -> OAuthError:
    if isinstance(error, RefreshExpired):
        return InvalidGrant("The person has to sign in at the upstream again.")
    if isinstance(error, RefreshTransient):
        return TemporarilyUnavailable("The upstream does not answer at the moment.")
    return InvalidTarget("The token of the upstream cannot be renewed.")


def _checked(form: Form, prepared: Prepared, delegation: Delegation, provider: str) -> Delegation:
    """Check that the operator and the person both allow it (I26)."""
    needed = delegation.policy.upstreams.get(provider)
    if needed is None or not delegation.subject.allow_scopes([needed]):
        raise InvalidTarget("This client may not have the token of that upstream.")
    if form.get("scope"):
        # A parameter that narrows must not be ignored.
        raise InvalidScope("The scope of an upstream is what the person allowed there.")
    if form.get("actor_token"):
        raise InvalidRequest("The token of an upstream names nobody who acts.")
    return delegation


@sensitive_variables()
def upstream_answer(form: Form, prepared: Prepared, delegation: Delegation) -> Outcome:
    """Answer with the token that was fetched.

    What allowed it is checked once more: the session may have ended while the upstream was asked.
    """
    _checked(form, prepared, delegation, named_upstream(form))
    credential = prepared.upstream
    if credential is None:
        raise InvalidTarget
    write((), prepared.proof)
    body: dict[str, Any] = {
        "access_token": credential.access_token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": credential.token_type,
    }
    if credential.scope:
        body["scope"] = credential.scope
    if (left := expires_in(credential)) is not None:
        body["expires_in"] = left
    return Outcome(TokenAnswer(json.dumps(body)))
