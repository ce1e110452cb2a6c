"""Ask a server of OAuth, and read what it answers (RFC 6749 §5)."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from .bundle import Bundle
from .errors import NoAnswer, TokenRefused, error_code
from .proof import ProofKey

#: Seconds for each step of a request, and for all of it. Less than what makes a lock stale.
_STEP_SECONDS: Final = 5.0
_TOTAL_SECONDS: Final = 10.0
#: Bytes of an answer.
_LIMIT: Final = 1024 * 1024
#: A lifetime of more seconds (100 years) is none.
_LONGEST: Final = 100 * 366 * 86_400
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@cache
def _tls() -> ssl.SSLContext:
    """Read the certificates of the authorities once: a device asks every few seconds."""
    return httpx.create_ssl_context()


def is_safe(url: object) -> bool:
    """Say whether tokens may go to *url*: over TLS, or to this machine."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


def request(
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    document: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], dict[str, Any] | None]:
    """Send one request; return status, headers and the JSON object of the answer, if it is one.

    Raises:
        NoAnswer: No answer came in ten seconds, or it is too long. ``reason`` is ``network``.
    """
    if not is_safe(url):
        raise NoAnswer("insecure_url")
    until = time.monotonic() + _TOTAL_SECONDS
    body = bytearray()
    try:
        with (
            httpx.Client(verify=_tls(), timeout=_STEP_SECONDS, follow_redirects=False) as http,
            http.stream(
                method,
                url,
                data=dict(form) if form is not None else None,
                json=document,
                headers={"Accept": "application/json", **(headers or {})},
            ) as response,
        ):
            for piece in response.iter_bytes():
                body += piece
                if len(body) > _LIMIT or time.monotonic() > until:
                    raise NoAnswer("network")
    except httpx.HTTPError:
        # The cause holds the request, and with it what was sent.
        raise NoAnswer("network") from None
    return response.status_code, response.headers, _object(bytes(body))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def ask(
    url: str,
    form: Mapping[str, str],
    *,
    client: tuple[str, str | None],
    key: ProofKey | None = None,
) -> dict[str, Any]:
    """POST *form* as *client*, and return the JSON object of a success.

    Args:
        url: The endpoint.
        form: Without what tells who the client is.
        client: Its id and its secret, if it has one.
        key: Sign a proof with it. A server that wants its nonce in the proof is asked again (RFC 9449 §8).

    Raises:
        TokenRefused: The server answered with an error code.
        NoAnswer: The server or the network failed. ``reason`` is the code of the server, if it sent one.
    """
    status, headers, document = _post(url, form, client, key)
    is_new = key is not None and key.learn_nonce(url, headers.get("DPoP-Nonce"))
    if status in (400, 401) and is_new and document is not None and document.get("error") == "use_dpop_nonce":
        status, headers, document = _post(url, form, client, key)
    code = error_code(document.get("error")) if document is not None else None
    if status >= 500 or status == 429:
        raise NoAnswer(code or f"http_{status}")
    if code is not None and status >= 400:
        raise TokenRefused(code)
    if status not in (200, 201) or document is None:
        raise NoAnswer(f"http_{status}" if status not in (200, 201) else "not_json")
    return document


def _post(
    url: str, form: Mapping[str, str], client: tuple[str, str | None], key: ProofKey | None
) -> tuple[int, Mapping[str, str], dict[str, Any] | None]:
    client_id, client_secret = client
    headers = {} if key is None else {"DPoP": key.proof("POST", url)}
    if client_secret is None:
        return request("POST", url, form={**form, "client_id": client_id}, headers=headers)
    # RFC 6749 §2.3.1: both are encoded as form values first.
    pair = httpx.BasicAuth(quote(client_id, safe=""), quote(client_secret, safe=""))
    signed = next(pair.auth_flow(httpx.Request("POST", url))).headers["Authorization"]
    return request("POST", url, form=form, headers={**headers, "Authorization": signed})


def read_bundle(
    answer: Mapping[str, Any], asked_at: float, *, key: ProofKey | None = None, old: Bundle | None = None
) -> Bundle:
    """Return the tokens of *answer*.

    Args:
        answer: Of the token endpoint.
        asked_at: When the request was sent: lifetimes count from no earlier.
        key: That the proof of the request was signed with.
        old: What was refreshed. Without a new refresh token the old one stays, and so does its end.

    Raises:
        NoAnswer: There is no access token, or one of a kind that we cannot use.
    """
    access_token, refresh_token = answer.get("access_token"), answer.get("refresh_token")
    kind = str(answer.get("token_type", "Bearer")).lower()
    if not _is_token(access_token) or kind not in ("bearer", "dpop") or (kind == "dpop" and key is None):
        raise NoAnswer("no_access_token")
    refresh_expires_at = _end(
        answer.get("refresh_token_expires_in", answer.get("refresh_expires_in")), asked_at
    )
    if not _is_token(refresh_token):
        refresh_token = old.refresh_token if old is not None else None
        refresh_expires_at = old.refresh_expires_at if old is not None else None
    scope = answer.get("scope")
    return Bundle(
        access_token=str(access_token),
        refresh_token=refresh_token,
        expires_at=_end(answer.get("expires_in"), asked_at),
        refresh_expires_at=refresh_expires_at,
        token_type="DPoP" if kind == "dpop" else "Bearer",
        scope=scope if isinstance(scope, str) else (old.scope if old is not None else None),
        proof_key=key,
    )


def _is_token(value: object) -> bool:
    """Say whether *value* can stand in a header (RFC 6750 §2.1)."""
    return (
        isinstance(value, str)
        and bool(value)
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


def _end(lifetime: object, asked_at: float) -> float | None:
    """Return when something ends that lives for *lifetime* seconds. Some servers send digits as text."""
    if isinstance(lifetime, str) and lifetime.isascii() and lifetime.isdigit():
        lifetime = float(lifetime[:20])
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 <= lifetime <= _LONGEST:
        return None
    return asked_at + lifetime
