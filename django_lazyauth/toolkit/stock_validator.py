"""DOT's validator, for what a host mounts of DOT itself. It takes our JWTs, and client secrets as we keep them.

It is the default of DOT's setting ``OAUTH2_VALIDATOR_CLASS``. A host that has a validator of its own derives it from
this class.

Not here: our own endpoints. They ask no validator.
"""

from __future__ import annotations

from typing import Any

from oauth2_provider.oauth2_validators import OAuth2Validator

from django_lazyauth.kit.secret_digest import is_digest, secret_matches
from django_lazyauth.models.fields import digest

from .models import get_access_token_model
from .rotation import rotating


class StockValidator(OAuth2Validator):
    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what DOT does, and let :func:`.rotation.is_rotating` know."""
        with rotating():
            return super().save_bearer_token(token, request, *args, **kwargs)

    def validate_jwt_bearer_token(self, token: str, scopes: Any, request: Any) -> bool:
        """Check a bearer that looks like a JWT. oauthlib takes each for an ID token; our access tokens are JWTs too."""
        is_access_token = get_access_token_model().objects.filter(token_checksum=digest(token)).exists()
        check = self.validate_bearer_token if is_access_token else super().validate_jwt_bearer_token
        return bool(check(token, scopes, request))

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        if is_digest(stored_secret):
            return secret_matches(provided_secret, stored_secret)
        return bool(super()._check_secret(provided_secret, stored_secret))
