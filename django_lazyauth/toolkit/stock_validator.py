"""DOT's validator, for what a host mounts of DOT itself. It takes our JWTs, and client secrets as we keep them.

It is the default of DOT's setting ``OAUTH2_VALIDATOR_CLASS``. A host that has a validator of its own derives it from
this class.

Not here: our own endpoints. They ask no validator.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q
from oauth2_provider.oauth2_validators import OAuth2Validator

from django_lazyauth.conf import is_fapi2, lazyauth_settings
from django_lazyauth.kit.secret_digest import is_digest, secret_matches
from django_lazyauth.models import FamilyGrant, PendingAuthorization
from django_lazyauth.models.fields import bound_digest, digest

from . import client_methods, client_policies
from .clients import is_inactive, stated_grants
from .models import get_access_token_model, get_refresh_token_model
from .rotation import rotating


class StockValidator(OAuth2Validator):
    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what DOT does, and let :func:`.rotation.is_rotating` know."""
        with rotating():
            return super().save_bearer_token(token, request, *args, **kwargs)

    def validate_bearer_token(self, token: str, scopes: Any, request: Any) -> bool:
        """Refuse a token whose client is disabled."""
        is_good = super().validate_bearer_token(token, scopes, request)
        return bool(is_good) and _works(request)

    def validate_jwt_bearer_token(self, token: str, scopes: Any, request: Any) -> bool:
        """Check a bearer that looks like a JWT. oauthlib takes each for an ID token; our access tokens are JWTs too."""
        if get_access_token_model().objects.filter(token_checksum=digest(token)).exists():
            return self.validate_bearer_token(token, scopes, request)
        is_good = super().validate_jwt_bearer_token(token, scopes, request)
        return bool(is_good) and _works(request)

    def validate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Refuse a client that is disabled. It is asked for where a client proves nothing."""
        is_good = not is_fapi2() and super().validate_client_id(client_id, request, *args, **kwargs)
        return bool(is_good) and _works(request)

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Refuse the secret of a client with keys, unless DOT refuses it too and took an assertion."""
        is_good = not is_fapi2() and super().authenticate_client(request, *args, **kwargs)
        return (
            bool(is_good)
            and _works(request)
            and (
                client_methods.may_use_secret(request.client)
                or client_methods.toolkit_asks_for_assertion(request.client)
            )
        )

    def authenticate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Refuse a client that has to prove itself with a key."""
        is_good = not is_fapi2() and super().authenticate_client_id(client_id, request, *args, **kwargs)
        return bool(is_good) and _works(request) and not client_methods.must_prove(request.client)

    def validate_response_type(
        self, client_id: str, response_type: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """Refuse a request that has to be pushed or signed, and one for tokens that have to be bound."""
        is_good = super().validate_response_type(client_id, response_type, client, request, *args, **kwargs)
        if not is_good or _needs_bound_tokens(client) or not client_policies.may_ask_toolkit(client):
            return False
        stated = stated_grants(client)
        # A list of grants knows no implicit and no hybrid flow.
        return stated is None or (response_type == "code" and "authorization_code" in stated)

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """Refuse a grant that the list beside the client leaves out, and a client of bound tokens."""
        is_good = super().validate_grant_type(client_id, grant_type, client, request, *args, **kwargs)
        if _needs_bound_tokens(request.client):
            return False
        stated = stated_grants(request.client)
        return bool(is_good) and (stated is None or grant_type in stated)

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """Refuse the refresh token of a session that began with a client assertion, or whose tokens are bound."""
        # First: DOT ends the session of a token that was used, and whoever has no key must not be able to.
        if _needs_key(refresh_token):
            return False
        return bool(super().validate_refresh_token(refresh_token, client, request, *args, **kwargs))

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Do what DOT does, and revoke a bound access token, which DOT does not find."""
        super().revoke_token(token, token_type_hint, request, *args, **kwargs)
        if request.client is None:
            return
        bound = get_access_token_model().objects.filter(token_checksum=bound_digest(token))
        for row in bound.filter(application=request.client):
            row.revoke()

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        if not stored_secret:
            # DOT takes an empty secret for that of a client that has none. One with a key is confidential and has none.
            return False
        if is_digest(stored_secret):
            return secret_matches(provided_secret, stored_secret)
        return bool(super()._check_secret(provided_secret, stored_secret))


def _works(request: Any) -> bool:
    """Say whether no operator disabled the client of a request. A token of another server has none."""
    return request.client is None or not is_inactive(request.client)


def _needs_bound_tokens(client: Any) -> bool:
    return lazyauth_settings.dpop.required or client_policies.wants_bound_tokens(client)


def _needs_key(refresh_token: str) -> bool:
    """Say whether the session of a refresh token began with a client assertion, or is bound to a key."""
    rows = get_refresh_token_model().objects.filter(token_checksum=digest(refresh_token))
    sessions = PendingAuthorization.objects.filter(pk=OuterRef("token_family"))
    of_dot = FamilyGrant.objects.filter(pk=OuterRef("token_family"))
    has_key = ~Q(jkt="")
    # Tokens from before the session was bound were used since, and DOT has to find that. One that was not used is
    # bound, whatever time a process wrote into it whose clock is behind.
    is_bound = has_key & (Q(bound_at__isnull=True) | Q(bound_at__lte=OuterRef("created")))
    needs_key = Exists(sessions.filter(Q(client_auth=client_methods.BY_KEY) | is_bound))
    is_unused = Q(revoked__isnull=True) & (Exists(sessions.filter(has_key)) | Exists(of_dot.filter(has_key)))
    return bool(rows.filter(needs_key | Exists(of_dot.filter(is_bound)) | is_unused).exists())
