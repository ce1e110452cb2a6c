"""The types of the keys that shape a request, for type checkers. ``None`` is as if the key was not there.

Not here: what each key means (:mod:`.keys`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from .keys import Nonce, Offline, OfflinePrompt, Pkce
from .revocation import RevocationRequestConfig


class PromptsConfig(TypedDict, total=False):
    """The value of ``prompt_params``."""

    login: Mapping[str, str] | None
    select_account: Mapping[str, str] | None
    create: Mapping[str, str] | None
    consent: Mapping[str, str] | None


class TokenResponseConfig(TypedDict, total=False):
    """The value of ``token_response``."""

    access_token: str | None
    refresh_token: str | None
    id_token: str | None
    token_type: str | None
    scope: str | None
    expires_in: str | None
    refresh_token_expires_in: str | None


class AnswerErrorConfig(TypedDict, total=False):
    """The value of ``answer_error``."""

    token: str | None
    userinfo: str | None


class SignedSecretConfig(TypedDict, total=False):
    """The value of ``signed_secret``."""

    key: str | None
    key_id: str | None
    issuer: str | None
    audience: str | None
    lifetime: int | None


class RequestsConfig(TypedDict, total=False):
    """The keys of an entry that shape requests, and say how their answers are read."""

    scope_separator: Literal[" ", ","] | None
    scope_parameter: str | None
    prompt_params: PromptsConfig | None
    offline: Offline | None
    offline_scopes: list[str] | tuple[str, ...] | None
    offline_params: Mapping[str, str | None] | None
    offline_prompt: OfflinePrompt | None
    pkce: Pkce | None
    nonce: Nonce | None
    claims_parameter: Mapping[str, Any] | None
    acr_values: Mapping[str, str] | None
    response_mode: Literal["form_post"] | None
    answer_params: Mapping[str, Literal["json", "text"] | None] | None
    authorize_fragment: str | None
    client_id_parameter: str | None
    client_secret_parameter: str | None
    signed_secret: SignedSecretConfig | None
    basic_encoding: Literal["form", "raw"] | None
    refresh_endpoint: str | None
    token_method: Literal["POST", "GET"] | None
    token_body: Literal["form", "json"] | None
    token_params: Mapping[str, str | None] | None
    refresh_params: Mapping[str, str | None] | None
    keep: list[str] | tuple[str, ...] | None
    headers: Mapping[str, str | None] | None
    token_response: TokenResponseConfig | None
    answer_error: AnswerErrorConfig | None
    answer_ok: list[str | int] | tuple[str | int, ...] | None
    refused_grants: list[str] | tuple[str, ...] | None
    denials: list[str] | tuple[str, ...] | None
    identity_from: Literal["userinfo", "token"] | None
    userinfo_method: Literal["GET", "POST"] | None
    userinfo_token: str | None
    userinfo_auth: Literal["none", "client"] | None
    userinfo_params: Mapping[str, str | None] | None
    userinfo_body: Mapping[str, Any] | None
    revocation_request: RevocationRequestConfig | None
