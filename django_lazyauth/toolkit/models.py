"""The models of django-oauth-toolkit that are in force here. A host may have swapped each of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_grant_model,
    get_id_token_model,
    get_refresh_token_model,
)

__all__ = [
    "AccessToken",
    "IDToken",
    "RefreshToken",
    "get_access_token_model",
    "get_application_model",
    "get_grant_model",
    "get_id_token_model",
    "get_refresh_token_model",
]

#: Rows of the models in force. django-oauth-toolkit publishes no types.
AccessToken: TypeAlias = Any
RefreshToken: TypeAlias = Any
IDToken: TypeAlias = Any
