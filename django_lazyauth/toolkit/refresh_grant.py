"""The refresh grant (RFC 6749 §6): the client first, then everything about the token in one transaction.

Not here: what a good refresh token is, and what its use writes (:mod:`.rotation`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from oauthlib.oauth2.rfc6749 import errors, utils
from oauthlib.oauth2.rfc6749.grant_types import RefreshTokenGrant as PlainRefreshTokenGrant
from oauthlib.openid.connect.core.grant_types import RefreshTokenGrant as OpenIdRefreshTokenGrant

from django_lazyauth.tokens.rotation import Answered

#: Opens the transaction that a refresh happens in. It is the flow's; an exception rolls it back.
Together = Callable[[], AbstractContextManager[None]]


class RotatingGrant(PlainRefreshTokenGrant):
    """Locks the token before anything is made of it: who comes second waits, and writes nothing."""

    def __init__(self, validator: Any, together: Together) -> None:
        super().__init__(validator)
        self._together = together

    def create_token_response(self, request: Any, token_handler: Any) -> tuple[dict[str, str], str, int]:
        headers: dict[str, str] = self._get_default_headers()
        try:
            # Outside: a client that is a metadata document may be fetched anew.
            self._check_client(request)
            with self._together():
                body = self._answer(request, token_handler)
        except errors.OAuth2Error as error:
            return headers | error.headers, error.json, error.status_code
        return headers, body, 200

    def _check_client(self, request: Any) -> None:
        if not request.refresh_token:
            raise errors.InvalidRequestError(description="Missing refresh token parameter.", request=request)
        self.validate_client_authentication(request)
        self.validate_grant_type(request)

    def _answer(self, request: Any, token_handler: Any) -> str:
        validator = self.request_validator
        answered: Answered | None = validator.take_refresh_token(request)
        if answered is not None:
            _check_retry(answered, request, validator)
            return answered.body
        request.scopes = _narrowed(request, validator.get_original_scopes(request.refresh_token, request))
        validator.check_resource(request)
        token = token_handler.create_token(request, refresh_token=True)
        for modify in self._token_modifiers:
            token = modify(token, token_handler, request)
        validator.save_token(token, request)
        body = json.dumps(token)
        validator.keep_answer(body, request)
        return body


class RefreshTokenGrant(OpenIdRefreshTokenGrant):
    """The same, with an ID token where the scope has ``openid`` (OpenID Connect Core §12.2)."""

    def __init__(self, validator: Any, together: Together) -> None:
        self.proxy_target = RotatingGrant(validator, together)
        self.register_token_modifier(self.add_id_token)


def _narrowed(request: Any, original: list[str]) -> list[str]:
    """Return the scopes of this refresh: those asked for, all of which the token has (I20).

    Raises:
        InvalidScopeError: Another was asked for.
    """
    if not request.scope:
        return original
    asked = list(dict.fromkeys(utils.scope_to_list(request.scope)))
    if not set(asked) <= set(original):
        raise errors.InvalidScopeError(request=request)
    return asked


def _check_retry(answered: Answered, request: Any, validator: Any) -> None:
    """Give the same answer only to whom it is not too much: this request may ask for less than the first (I20).

    Raises:
        InvalidScopeError: The answer has a scope that this request does not want, or the client gave up since.
        CustomOAuth2Error: ``invalid_target``: the same of the audience (RFC 8707 §2.2).
    """
    if request.scope and not answered.scopes <= set(utils.scope_to_list(request.scope)):
        raise errors.InvalidScopeError(request=request)
    if not answered.scopes <= set(validator.still_registered(request.client, sorted(answered.scopes))):
        raise errors.InvalidScopeError(request=request)
    asked = {value for name, value in request.decoded_body or [] if name == "resource" and value}
    if asked and not (answered.resource and set(answered.resource) <= asked):
        raise errors.CustomOAuth2Error(
            error="invalid_target",
            description="This refresh token was used for another resource just now.",
            request=request,
        )
