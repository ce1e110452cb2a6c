"""The presets that speak OAuth 2.0 only: their userinfo endpoint names the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .preset import OPENID, Preset

OAUTH2: Final[Mapping[str, Preset]] = {
    "atlassian": Preset(
        "2026-11",
        {
            "display_name": "Atlassian",
            "type": "oauth2",
            "authorization_endpoint": "https://auth.atlassian.com/authorize",
            "token_endpoint": "https://auth.atlassian.com/oauth/token",
            "userinfo_endpoint": "https://api.atlassian.com/me",
            "scopes": ["read:me"],
            "extra_authorize_params": {"audience": "api.atlassian.com"},
            "subject": "account_id",
            "claims": {"name": ["name", "nickname"]},
            "states_email_verified": False,
        },
    ),
    "bitbucket": Preset(
        "2026-11",
        {
            "display_name": "Bitbucket",
            "type": "oauth2",
            "authorization_endpoint": "https://bitbucket.org/site/oauth2/authorize",
            "token_endpoint": "https://bitbucket.org/site/oauth2/access_token",
            "userinfo_endpoint": "https://api.bitbucket.org/2.0/user",
            "emails_endpoint": "https://api.bitbucket.org/2.0/user/emails",
            "emails": {"list": "values", "verified": "is_confirmed", "primary": "is_primary"},
            "scopes": ["account", "email"],
            "token_endpoint_auth_method": "client_secret_basic",
            # A user name can be changed and then taken by another person.
            "subject": ["account_id", "uuid"],
            "claims": {"name": ["display_name", "username"]},
        },
    ),
    "box": Preset(
        "2026-11",
        {
            "display_name": "Box",
            "type": "oauth2",
            "authorization_endpoint": "https://account.box.com/api/oauth2/authorize",
            "token_endpoint": "https://api.box.com/oauth2/token",
            "userinfo_endpoint": "https://api.box.com/2.0/users/me",
            "token_endpoint_auth_method": "client_secret_post",
            "subject": "id",
            "claims": {"email": "login"},
            "states_email_verified": False,
        },
        "The scopes are those of the app in Box's console.",
    ),
    "discord": Preset(
        "2026-11",
        {
            "display_name": "Discord",
            "type": "oauth2",
            "authorization_endpoint": "https://discord.com/oauth2/authorize",
            "token_endpoint": "https://discord.com/api/oauth2/token",
            "userinfo_endpoint": "https://discord.com/api/users/@me",
            "scopes": ["identify", "email"],
            "prompt_params": {"login": {"prompt": "consent"}},
            "subject": "id",
            "claims": {"email_verified": "verified", "name": ["global_name", "username"]},
        },
    ),
    "facebook": Preset(
        "2026-11",
        {
            "display_name": "Facebook",
            "type": "oauth2",
            "authorization_endpoint": "https://www.facebook.com/v24.0/dialog/oauth",
            "token_endpoint": "https://graph.facebook.com/v24.0/oauth/access_token",
            "userinfo_endpoint": "https://graph.facebook.com/v24.0/me?fields=id,name,email",
            "scopes": ["email", "public_profile"],
            "scope_separator": ",",
            "prompt_params": {"login": {"auth_type": "reauthenticate"}},
            "subject": "id",
            "states_email_verified": False,
        },
        "An app that demands `appsecret_proof` needs a `class`.",
    ),
    "figma": Preset(
        "2026-11",
        {
            "display_name": "Figma",
            "type": "oauth2",
            "authorization_endpoint": "https://www.figma.com/oauth",
            "token_endpoint": "https://api.figma.com/v1/oauth/token",
            "refresh_endpoint": "https://api.figma.com/v1/oauth/refresh",
            "userinfo_endpoint": "https://api.figma.com/v1/me",
            "scopes": ["current_user:read"],
            "token_endpoint_auth_method": "client_secret_basic",
            "subject": "id",
            "claims": {"name": "handle"},
            "states_email_verified": False,
        },
    ),
    "github": Preset(
        "2026-11",
        {
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
            "claims": {"name": ["name", "login"]},
        },
    ),
    "kakao": Preset(
        "2026-11",
        {
            "display_name": "Kakao",
            "type": "oauth2",
            "authorization_endpoint": "https://kauth.kakao.com/oauth/authorize",
            "token_endpoint": "https://kauth.kakao.com/oauth/token",
            "userinfo_endpoint": "https://kapi.kakao.com/v2/user/me",
            "scopes": ["account_email", "profile_nickname"],
            "token_endpoint_auth_method": "client_secret_post",
            "subject": "id",
            "claims": {
                "email": "kakao_account.email",
                "email_verified": "kakao_account.is_email_verified",
                "name": ["kakao_account.profile.nickname", "properties.nickname"],
            },
        },
    ),
    "naver": Preset(
        "2026-11",
        {
            "display_name": "Naver",
            "type": "oauth2",
            "authorization_endpoint": "https://nid.naver.com/oauth2.0/authorize",
            "token_endpoint": "https://nid.naver.com/oauth2.0/token",
            "userinfo_endpoint": "https://openapi.naver.com/v1/nid/me",
            "token_endpoint_auth_method": "client_secret_post",
            "subject": "response.id",
            "claims": {"email": "response.email", "name": ["response.name", "response.nickname"]},
            "states_email_verified": False,
        },
        "What Naver gives is chosen in its console, not by scopes.",
    ),
    "patreon": Preset(
        "2026-11",
        {
            "display_name": "Patreon",
            "type": "oauth2",
            "authorization_endpoint": "https://www.patreon.com/oauth2/authorize",
            "token_endpoint": "https://www.patreon.com/api/oauth2/token",
            "userinfo_endpoint": (
                "https://www.patreon.com/api/oauth2/v2/identity"
                "?fields%5Buser%5D=email,full_name,is_email_verified,image_url"
            ),
            "scopes": ["identity", "identity[email]"],
            "token_endpoint_auth_method": "client_secret_post",
            "subject": "data.id",
            "claims": {
                "email": "data.attributes.email",
                "email_verified": "data.attributes.is_email_verified",
                "name": "data.attributes.full_name",
            },
        },
    ),
    "paypal": Preset(
        "2026-11",
        {
            "display_name": "PayPal",
            "type": "oauth2",
            "authorization_endpoint": "https://www.paypal.com/signin/authorize",
            "token_endpoint": "https://api-m.paypal.com/v1/oauth2/token",
            "userinfo_endpoint": ("https://api-m.paypal.com/v1/identity/oauth2/userinfo?schema=paypalv1.1"),
            "scopes": OPENID,
            "token_endpoint_auth_method": "client_secret_basic",
            "subject": "user_id",
            "claims": {
                "email": "emails[primary=true].value",
                "email_verified": "emails[primary=true].confirmed",
            },
        },
        'If PayPal answers "invalid scope", set `scopes` to `[]`. The sandbox has other endpoints.',
    ),
    "reddit": Preset(
        "2026-11",
        {
            "display_name": "Reddit",
            "type": "oauth2",
            "authorization_endpoint": "https://www.reddit.com/api/v1/authorize",
            "token_endpoint": "https://www.reddit.com/api/v1/access_token",
            "userinfo_endpoint": "https://oauth.reddit.com/api/v1/me",
            "scopes": ["identity"],
            "scope_separator": ",",
            "token_endpoint_auth_method": "client_secret_basic",
            "subject": "id",
            "states_email_verified": False,
        },
        "No address. Reddit asks for a `User-Agent` of your own in `headers`.",
    ),
    "spotify": Preset(
        "2026-11",
        {
            "display_name": "Spotify",
            "type": "oauth2",
            "authorization_endpoint": "https://accounts.spotify.com/authorize",
            "token_endpoint": "https://accounts.spotify.com/api/token",
            "userinfo_endpoint": "https://api.spotify.com/v1/me",
            "scopes": ["user-read-email"],
            "token_endpoint_auth_method": "client_secret_basic",
            "subject": "id",
            "claims": {"name": "display_name"},
            "states_email_verified": False,
        },
    ),
    "strava": Preset(
        "2026-11",
        {
            "display_name": "Strava",
            "type": "oauth2",
            "authorization_endpoint": "https://www.strava.com/oauth/authorize",
            "token_endpoint": "https://www.strava.com/api/v3/oauth/token",
            "userinfo_endpoint": "https://www.strava.com/api/v3/athlete",
            "scopes": ["read"],
            "scope_separator": ",",
            "token_endpoint_auth_method": "client_secret_post",
            "subject": "id",
            "claims": {"name": {"join": ["firstname", "lastname"]}},
            "states_email_verified": False,
        },
        "No address.",
    ),
    "tiktok": Preset(
        "2026-11",
        {
            "display_name": "TikTok",
            "type": "oauth2",
            "authorization_endpoint": "https://www.tiktok.com/v2/auth/authorize/",
            "token_endpoint": "https://open.tiktokapis.com/v2/oauth/token/",
            "userinfo_endpoint": (
                "https://open.tiktokapis.com/v2/user/info/?fields=open_id,union_id,avatar_url,display_name"
            ),
            "scopes": ["user.info.basic"],
            "scope_separator": ",",
            "client_id_parameter": "client_key",
            "token_endpoint_auth_method": "client_secret_post",
            "subject": "data.user.open_id",
            "claims": {"name": "data.user.display_name"},
            "states_email_verified": False,
        },
        "No address. `client_id` is TikTok's client key.",
    ),
    "x": Preset(
        "2026-11",
        {
            "display_name": "X",
            "type": "oauth2",
            "authorization_endpoint": "https://x.com/i/oauth2/authorize",
            "token_endpoint": "https://api.x.com/2/oauth2/token",
            "userinfo_endpoint": (
                "https://api.x.com/2/users/me?user.fields=confirmed_email,profile_image_url"
            ),
            "scopes": ["users.read", "tweet.read", "users.email"],
            "token_endpoint_auth_method": "client_secret_basic",
            "subject": "data.id",
            "claims": {
                "email": "data.confirmed_email",
                "email_verified": {"value": True},
                "name": ["data.name", "data.username"],
            },
        },
    ),
    "zoom": Preset(
        "2026-11",
        {
            "display_name": "Zoom",
            "type": "oauth2",
            "authorization_endpoint": "https://zoom.us/oauth/authorize",
            "token_endpoint": "https://zoom.us/oauth/token",
            "userinfo_endpoint": "https://api.zoom.us/v2/users/me",
            "subject": "id",
            "claims": {
                "email_verified": "verified",
                "name": ["display_name", {"join": ["first_name", "last_name"]}],
            },
            "truthy": [1],
        },
        "The scopes are those of the app in Zoom's console.",
    ),
}
