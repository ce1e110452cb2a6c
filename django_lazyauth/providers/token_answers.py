"""What the token endpoint of an upstream answered.

No error holds a token or text of the upstream (I13).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.kit.times import read_lifetime
from django_lazyauth.openid.jose import TokenRejected, check_clean
from django_lazyauth.openid.requests.keys import Requests
from django_lazyauth.openid.rules import Documents, Path, find, is_one_of
from django_lazyauth.vault.tokens import UpstreamBundle, UpstreamTokens

from .base import UnusableAnswer

#: Characters of one upstream token. JWTs with many groups reach 8,000.
TOKEN_LIMIT: Final = 64 * 1024
SCOPE_LIMIT: Final = 4096
TOKENS: Final = frozenset({"access_token", "refresh_token", "id_token"})
#: What is read of an answer, beside the lifetimes.
MEMBERS: Final = TOKENS | {"token_type", "scope"}
LIFETIMES: Final = frozenset({"expires_in", "refresh_token_expires_in", "refresh_expires_in"})


@sensitive_variables()
def value_at(path: Path, document: object) -> Any:
    """Return what stands at *path* of one document; ``None`` where nothing does."""
    return next((found.value for found in find(path, Documents(userinfo=document))), None)


@sensitive_variables()
def error_of(document: object, path: Path | None, requests: Requests) -> Any:
    """Return what an answer says of its failure; ``None`` where it says none."""
    value = None if path is None else value_at(path, document)
    if value is None or value is False or value in ("", [], {}) or is_one_of(requests.answer_ok, value):
        return None
    return value


@sensitive_variables()
def with_rfc_names(document: Mapping[str, Any], requests: Requests) -> dict[str, Any]:
    """Return what is read of an answer, by the names of RFC 6749 §5.1.

    A member that has a path is read there only: Slack's answer has a token of the bot at the usual place.
    """
    # An odd member that nobody reads refuses nothing.
    named = {name: document.get(name) for name in MEMBERS | LIFETIMES}
    for name, path in requests.token_response.items():
        if path is not None:
            named[name] = value_at(path, document)
    return named


@sensitive_variables()
def without_tokens(value: Any, requests: Requests) -> Any:
    """Return an answer without its tokens, at any depth."""
    paths = [path for name, path in requests.token_response.items() if name in TOKENS and path is not None]
    return without_names(TOKENS | {path.segments[-1] for path in paths}, value)


@sensitive_variables()
def without_names(names: frozenset[Any], value: Any) -> Any:
    """Return JSON without the members of these names, at any depth."""
    if not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        # An upstream may send hundreds of thousands of them.
        return [without_names(names, item) if isinstance(item, dict | list) else item for item in value]
    return {name: without_names(names, item) for name, item in value.items() if name not in names}


def _scope(value: object, requested: str) -> str:
    """Return a scope as RFC 6749 §3.3 writes it. Some answers have commas, or a list."""
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return requested
    scope = " ".join(words)
    return scope if 0 < len(scope) <= SCOPE_LIMIT else requested


@sensitive_variables()
def read_tokens(document: Mapping[str, Any], *, now: datetime, requested_scope: str) -> UpstreamTokens:
    """Read a successful answer of a token endpoint (RFC 6749 §5.1).

    Raises:
        ProviderUnavailable: ``bad_answer``: no access token, or a token type that we cannot use.
    """
    try:
        # An odd lifetime is unknown. It refuses nobody.
        check_clean({name: value for name, value in document.items() if name not in LIFETIMES})
    except TokenRejected:
        raise ProviderUnavailable("bad_answer", stage="token", debug="unclean") from None
    token_type = document.get("token_type") or "Bearer"
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise ProviderUnavailable("bad_answer", stage="token", debug="not a bearer token")
    access_token = _token(document, "access_token")
    if not access_token:
        raise ProviderUnavailable("bad_answer", stage="token", debug="no access token")
    return UpstreamTokens(
        access_token=access_token,
        refresh_token=_token(document, "refresh_token"),
        id_token=_token(document, "id_token"),
        scope=_scope(document.get("scope"), requested_scope),
        token_type="Bearer",
        expires_at=_ends_at(document.get("expires_in"), now),
        refresh_expires_at=_refresh_ends_at(document, now),
    )


@sensitive_variables()
def _token(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not value:
        return ""
    if not isinstance(value, str) or len(value) > TOKEN_LIMIT:
        raise ProviderUnavailable("bad_answer", stage="token", debug=f"unusable {name}")
    return value


def _ends_at(lifetime: object, now: datetime) -> datetime | None:
    """Return when a lifetime in seconds ends; ``None`` where the upstream does not say."""
    known = read_lifetime(lifetime)
    return None if known is None else now + known


def _refresh_ends_at(document: Mapping[str, Any], now: datetime) -> datetime | None:
    lifetime = document.get("refresh_token_expires_in")
    return _ends_at(document.get("refresh_expires_in") if lifetime is None else lifetime, now)


@sensitive_variables()
def unusable(
    document: Mapping[str, Any], bundle: UpstreamBundle, reason: str, now: datetime
) -> UnusableAnswer:
    """Return what an answer without a usable access token says of the refresh token."""
    token = document.get("refresh_token")
    if not token or token == bundle.refresh_token:
        return UnusableAnswer(reason)
    if not is_token(token):
        return UnusableAnswer(reason, is_spent=True)
    return UnusableAnswer(
        reason, is_spent=True, refresh_token=token, refresh_expires_at=_refresh_ends_at(document, now)
    )


@sensitive_variables()
def is_token(value: object) -> bool:
    try:
        check_clean({"token": value})
    except TokenRejected:
        return False
    return isinstance(value, str) and 0 < len(value) <= TOKEN_LIMIT
