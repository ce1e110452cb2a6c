"""The OAuth 2.0 presets of Korea, Russia and China, which differ most from the RFCs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .preset import Preset

EASTERN: Final[Mapping[str, Preset]] = {
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
            "answer_error": {"userinfo": "resultcode"},
            "answer_ok": ["00"],
            "token_endpoint_auth_method": "client_secret_post",
            "subject": "response.id",
            "claims": {"email": "response.email", "name": ["response.name", "response.nickname"]},
            "states_email_verified": False,
        },
        "What Naver gives is chosen in its console, not by scopes.",
    ),
    "vk": Preset(
        "2026-11",
        {
            "display_name": "VK",
            "type": "oauth2",
            "authorization_endpoint": "https://id.vk.ru/authorize",
            "token_endpoint": "https://id.vk.ru/oauth2/auth",
            "userinfo_endpoint": "https://id.vk.ru/oauth2/user_info",
            "scopes": ["email"],
            # Every request names the device that the answer named.
            "answer_params": {"device_id": "text"},
            "keep": ["answer:device_id"],
            "token_params": {"device_id": "{answer:device_id}", "state": "{state}"},
            "refresh_params": {"device_id": "{answer:device_id}", "state": "{state}"},
            "userinfo_method": "POST",
            "userinfo_token": "form:access_token",
            "userinfo_params": {"client_id": "{client_id}"},
            "answer_error": {"userinfo": "error"},
            "subject": "user.user_id",
            "claims": {
                "email": "user.email",
                "name": {"join": ["user.first_name", "user.last_name"]},
            },
            "states_email_verified": False,
        },
    ),
    "wechat": Preset(
        "2026-11",
        {
            "display_name": "WeChat",
            "type": "oauth2",
            "authorization_endpoint": "https://open.weixin.qq.com/connect/qrconnect",
            "token_endpoint": "https://api.weixin.qq.com/sns/oauth2/access_token",
            "refresh_endpoint": "https://api.weixin.qq.com/sns/oauth2/refresh_token",
            "userinfo_endpoint": "https://api.weixin.qq.com/sns/userinfo",
            "scopes": ["snsapi_login"],
            "scope_separator": ",",
            "client_id_parameter": "appid",
            "client_secret_parameter": "secret",
            "token_endpoint_auth_method": "client_secret_post",
            "token_method": "GET",
            "authorize_fragment": "wechat_redirect",
            "pkce": "none",
            "userinfo_token": "query:access_token",
            "userinfo_params": {"openid": "{token:openid}", "lang": "zh_CN"},
            "answer_error": {"token": "errcode", "userinfo": "errcode"},
            "answer_ok": [0],
            "refused_grants": ["40030", "42002"],
            "subject": ["unionid", "openid"],
            "legacy_subjects": ["openid"],
            "claims": {"name": "nickname"},
            "states_email_verified": False,
        },
        "A stolen code is not noticed (`lazyauth.W015`). When the app joins an account of WeChat's open platform, the "
        "subject of a person changes, and people are moved as they sign in. No address.",
    ),
    "yandex": Preset(
        "2026-11",
        {
            "display_name": "Yandex",
            "type": "oauth2",
            "authorization_endpoint": "https://oauth.yandex.com/authorize",
            "token_endpoint": "https://oauth.yandex.com/token",
            "userinfo_endpoint": "https://login.yandex.ru/info?format=json",
            "userinfo_token": "header:OAuth",
            "scopes": ["login:info", "login:email"],
            "subject": "id",
            "claims": {
                "email": ["default_email", "emails[0]"],
                "name": ["display_name", "real_name", "first_name"],
            },
            "states_email_verified": False,
        },
    ),
}
