"""Settings of well-known providers. A configuration names one with ``preset`` and may override its values.

A new provider is a new dict here or in the settings, never a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "google": {
        "display_name": "Google",
        "issuer": "https://accounts.google.com",
        "scopes": ["openid", "profile", "email"],
        "algorithms": ["RS256"],
        # Google's form of offline_access. It gives a refresh token at the first consent only.
        "extra_authorize_params": {"access_type": "offline"},
    },
    # Accounts of any organisation and personal ones. Each tenant is an issuer of its own.
    "microsoft": {
        "display_name": "Microsoft",
        "issuer": "https://login.microsoftonline.com/{tid}/v2.0",
        "openid_configuration": (
            "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
        ),
        "scopes": ["openid", "profile", "email", "offline_access"],
        "algorithms": ["RS256"],
        # An administrator of any tenant can set any address.
        "states_email_verified": False,
    },
    # The client secret is a JWT that the operator signs for at most six months.
    "apple": {
        "display_name": "Apple",
        "issuer": "https://appleid.apple.com",
        "scopes": ["openid", "name", "email"],
        "algorithms": ["RS256"],
        "token_endpoint_auth_method": "client_secret_post",
        # Apple requires it as soon as a scope is requested.
        "extra_authorize_params": {"response_mode": "form_post"},
    },
    "github": {
        "display_name": "GitHub",
        "type": "oauth2",
        "authorization_endpoint": "https://github.com/login/oauth/authorize",
        "token_endpoint": "https://github.com/login/oauth/access_token",
        "userinfo_endpoint": "https://api.github.com/user",
        "emails_endpoint": "https://api.github.com/user/emails",
        "scopes": ["read:user", "user:email"],
        "token_endpoint_auth_method": "client_secret_post",
        # A login name can be changed and then taken by another person. The number stays.
        "subject": "id",
    },
    "gitlab": {
        "display_name": "GitLab",
        "issuer": "https://gitlab.com",
        "scopes": ["openid", "profile", "email"],
        "algorithms": ["RS256"],
    },
    # Okta, Auth0, Keycloak and the like: each customer has an issuer of their own, which must be configured.
    "okta": {
        "display_name": "Okta",
        "scopes": ["openid", "profile", "email", "offline_access"],
        "algorithms": ["RS256"],
    },
}
