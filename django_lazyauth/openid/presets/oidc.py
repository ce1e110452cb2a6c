"""The presets that speak OpenID Connect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .preset import OPENID, Preset

#: It gives refresh tokens unasked, or is asked by a parameter. A scope that it does not know may be an error.
NO_SCOPE: Final = ()

OIDC: Final[Mapping[str, Preset]] = {
    "apple": Preset(
        "2026-11",
        {
            "display_name": "Apple",
            "issuer": "https://appleid.apple.com",
            "scopes": ["openid", "name", "email"],
            "offline_scopes": NO_SCOPE,
            "algorithms": ["RS256"],
            "token_endpoint_auth_method": "client_secret_post",
            # Apple requires it as soon as a scope is requested.
            "response_mode": "form_post",
            # The name comes once, at the first sign-in, beside the code.
            "answer_params": {"user": "json"},
            "claims": {
                "name": ["name", {"join": ["answer:user.name.firstName", "answer:user.name.lastName"]}]
            },
            "denials": ["user_cancelled_authorize"],
            "revocation_endpoint": "https://appleid.apple.com/auth/revoke",
            # The libraries for apps send a hash of it.
            "nonce_hash": "sha256",
        },
        "`signed_secret` makes the secret: `issuer` is the team id, `key_id` that of the key. Addresses may be relays.",
    ),
    "auth0": Preset(
        "2026-11",
        {"display_name": "Auth0", "scopes": OPENID},
        "The issuer is `https://<domain>/`, with the `/` at its end.",
    ),
    "battlenet": Preset(
        "2026-11",
        {
            "display_name": "Battle.net",
            "issuer": "https://oauth.battle.net",
            "scopes": ["openid"],
            # It has no refresh tokens.
            "offline": "never",
            "claims": {"name": ["battle_tag", "battletag"]},
            "states_email_verified": False,
        },
        "No address. China is another system whose subjects clash: give it another name.",
    ),
    "cognito": Preset(
        "2026-11",
        {
            "display_name": "Amazon Cognito",
            "scopes": OPENID,
            "offline_scopes": NO_SCOPE,
            "revocation": "token",
            "claims": {"name": ["name", "given_name", '["cognito:username"]', "username"]},
            "upstream_logout_params": {"logout_uri": "{redirect_uri}"},
        },
        "The issuer is `https://cognito-idp.<region>.amazonaws.com/<pool>`.",
    ),
    "gitlab": Preset(
        "2026-11",
        {
            "display_name": "GitLab",
            "issuer": "https://gitlab.com",
            "scopes": OPENID,
            "offline_scopes": NO_SCOPE,
            "revocation": "token",
            "algorithms": ["RS256"],
        },
        "For a server of your own, give its `issuer`.",
    ),
    "google": Preset(
        "2026-11",
        {
            "display_name": "Google",
            "issuer": "https://accounts.google.com",
            # Its older ID tokens, and some of its libraries, leave the scheme out.
            "issuer_aliases": ["accounts.google.com"],
            "scopes": OPENID,
            "algorithms": ["RS256"],
            # Google's form of offline_access. It gives a refresh token at the first consent only.
            "offline_scopes": NO_SCOPE,
            "offline_params": {"access_type": "offline"},
        },
    ),
    "huggingface": Preset(
        "2026-11",
        {
            "display_name": "Hugging Face",
            "issuer": "https://huggingface.co",
            "scopes": OPENID,
            "offline_scopes": NO_SCOPE,
            "claims": {"name": ["name", "preferred_username"]},
            "nonce": "optional",
        },
    ),
    "keycloak": Preset(
        "2026-11",
        {"display_name": "Keycloak", "scopes": OPENID, "revocation": "token"},
        "The issuer is `https://<host>/realms/<realm>`.",
    ),
    "line": Preset(
        "2026-11",
        {
            "display_name": "LINE",
            "issuer": "https://access.line.me",
            "scopes": OPENID,
            "offline_scopes": NO_SCOPE,
            # With the channel secret in a browser, with a key in an app.
            "algorithms": ["HS256", "ES256"],
            "token_endpoint_auth_method": "client_secret_post",
            "states_email_verified": False,
            "revocation_endpoint": "https://api.line.me/oauth2/v2.1/revoke",
            "revocation_request": {"token": "form:access_token"},
        },
        "The client is a channel of LINE Login.",
    ),
    "linkedin": Preset(
        "2026-11",
        {
            "display_name": "LinkedIn",
            "issuer": "https://www.linkedin.com/oauth",
            # What its tokens say differs from what its metadata says, and has changed before.
            "issuer_aliases": ["https://www.linkedin.com"],
            "openid_configuration": "https://www.linkedin.com/oauth/.well-known/openid-configuration",
            "scopes": OPENID,
            "offline_scopes": NO_SCOPE,
            "token_endpoint_auth_method": "client_secret_post",
            # A code_verifier is answered with an error, and ID tokens hold no nonce.
            "pkce": "none",
            "nonce": "none",
        },
        "A stolen code is not noticed (`lazyauth.W015`): LinkedIn takes neither PKCE nor a nonce.",
    ),
    # Accounts of any organisation and personal ones. Each tenant is an issuer of its own.
    "microsoft": Preset(
        "2026-11",
        {
            "display_name": "Microsoft",
            "issuer": "https://login.microsoftonline.com/{tid}/v2.0",
            "openid_configuration": (
                "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
            ),
            "scopes": OPENID,
            "algorithms": ["RS256"],
            # An administrator of any tenant can set any address.
            "states_email_verified": False,
        },
        "Work and personal accounts. The tenant is a part of the subject.",
    ),
    "okta": Preset(
        "2026-11",
        {
            "display_name": "Okta",
            "scopes": OPENID,
            "algorithms": ["RS256"],
            "revocation": "token",
        },
        "The issuer is `https://<org>.okta.com`, or `https://<org>.okta.com/oauth2/<server>`.",
    ),
    "salesforce": Preset(
        "2026-11",
        {
            "display_name": "Salesforce",
            "issuer": "https://login.salesforce.com",
            "scopes": OPENID,
            "offline_scopes": ["refresh_token"],
        },
        "For My Domain, give its `issuer`.",
    ),
    "slack": Preset(
        "2026-11",
        {
            "display_name": "Slack",
            "issuer": "https://slack.com",
            # It says with status 200 that it failed.
            "answer_error": {"token": "error", "userinfo": "error"},
            "scopes": OPENID,
            "offline_scopes": NO_SCOPE,
            # A user id is unique within its workspace only.
            "subject": {
                "join": ['["https://slack.com/team_id"]', '["https://slack.com/user_id"]'],
                "with": ":",
                "all": True,
            },
            "revocation_endpoint": "https://slack.com/api/auth.revoke",
            "revocation_request": {"token": "bearer"},
        },
        "The subject is workspace and user.",
    ),
    "twitch": Preset(
        "2026-11",
        {
            "display_name": "Twitch",
            "issuer": "https://id.twitch.tv/oauth2",
            "scopes": ["openid", "user:read:email"],
            "offline_scopes": NO_SCOPE,
            "token_endpoint_auth_method": "client_secret_post",
            # Its answers have no error code.
            "answer_error": {"token": "message"},
            "refused_grants": ["Invalid refresh token"],
            # Twitch gives no claim that is not asked for by name.
            "claims_parameter": {
                "id_token": dict.fromkeys(("email", "email_verified", "picture", "preferred_username"))
            },
            "claims": {"name": "preferred_username"},
            "revocation_endpoint": "https://id.twitch.tv/oauth2/revoke",
            "revocation_request": {"token": "form:token"},
        },
    ),
    "yahoo": Preset(
        "2026-11",
        {
            "display_name": "Yahoo",
            "issuer": "https://api.login.yahoo.com",
            "scopes": OPENID,
            "offline_scopes": NO_SCOPE,
            "token_endpoint_auth_method": "client_secret_basic",
        },
    ),
}
