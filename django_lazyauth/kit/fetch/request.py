"""One request, from the URL to the last byte of its answer."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import time
from collections.abc import Mapping
from urllib.parse import quote_plus, urlencode

from django.views.decorators.debug import sensitive_variables
from urllib3.exceptions import HTTPError

from .addresses import OPERATOR, IPAddress, Policy, Target
from .answer import FetchError, Response
from .inflate import ACCEPTED, inflate
from .names import resolve
from .sockets import Limits, Pinned, PinnedTLS, tls_context

#: Bytes of an answer, by who chose the URL (threat model, "outbound fetch").
STRANGERS_LIMIT = 64 * 1024
OPERATORS_LIMIT = 1024 * 1024
#: Bytes of status line, headers and chunk framing, beyond the body's own cap.
FRAMING_LIMIT = 64 * 1024

USER_AGENT = "django-lazyauth"


@sensitive_variables()
def get(
    url: str,
    *,
    policy: Policy,
    max_bytes: int | None = None,
    headers: Mapping[str, str] | None = None,
    deadline: float = 5.0,
) -> Response:
    """GET *url*.

    Args:
        url: Absolute, https; plain http only to loopback where ``ALLOW_LOOPBACK_UPSTREAMS`` is set.
        policy: Who chose the URL.
        max_bytes: A longer body is refused, not cut. ``None``: 64 KiB of a stranger, 1 MiB of others.
        headers: Sent as they are.
        deadline: Seconds in all: name look-up, connection, TLS, the last byte.

    Raises:
        FetchError: No answer within the limits.
    """
    return _send("GET", url, None, headers or {}, policy=policy, limit=max_bytes, deadline=deadline)


@sensitive_variables()
def post_form(
    url: str,
    fields: Mapping[str, str],
    *,
    auth: tuple[str, str] | None = None,
    policy: Policy = OPERATOR,
    max_bytes: int | None = None,
    headers: Mapping[str, str] | None = None,
    deadline: float = 10.0,
) -> Response:
    """POST *fields* as a form to a token or revocation endpoint (RFC 6749 §3.2).

    Args:
        url: As for :func:`get`.
        fields: Form fields.
        auth: Client id and secret, sent as HTTP Basic, each form-encoded first (RFC 6749 §2.3.1).
        policy: Who chose the URL; a token endpoint is usually chosen by the operator.
        max_bytes: A longer answer is refused.
        headers: Sent with ours.
        deadline: Seconds in all.

    Raises:
        FetchError: No answer within the limits.
    """
    merged = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
    if auth is not None:
        credentials = ":".join(quote_plus(part) for part in auth)
        merged["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
    body = urlencode(fields).encode()
    return post(url, body, policy=policy, max_bytes=max_bytes, headers=merged, deadline=deadline)


@sensitive_variables()
def post(
    url: str,
    body: bytes | None,
    *,
    policy: Policy,
    max_bytes: int | None = None,
    headers: Mapping[str, str] | None = None,
    deadline: float = 10.0,
) -> Response:
    """POST *body*, whose type *headers* say; ``None``: an empty one without a type. Arguments as :func:`get`."""
    merged = {"Accept": "application/json", **(headers or {})}
    return _send("POST", url, body, merged, policy=policy, limit=max_bytes, deadline=deadline)


@sensitive_variables()
def delete(
    url: str,
    body: bytes | None,
    *,
    policy: Policy,
    headers: Mapping[str, str] | None = None,
    deadline: float = 10.0,
) -> Response:
    """DELETE *url*, with *body* where there is one. Arguments as :func:`post`."""
    merged = {"Accept": "application/json", **(headers or {})}
    return _send("DELETE", url, body, merged, policy=policy, limit=None, deadline=deadline)


@sensitive_variables()
def _send(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    policy: Policy,
    limit: int | None,
    deadline: float,
) -> Response:
    if limit is None:
        limit = STRANGERS_LIMIT if policy.is_strict else OPERATORS_LIMIT
    limits = Limits(ends_at=time.monotonic() + deadline, bytes_left=limit + FRAMING_LIMIT)
    target = Target.parse(url)
    addresses = (target.address,) if target.address else resolve(target, policy, limits)
    if not addresses or not all(target.admits(address, policy) for address in addresses):
        raise FetchError("address")
    connection = _connection(target, addresses, limits, policy.ca_file)
    sent = {
        "User-Agent": USER_AGENT,
        **headers,
        "Accept-Encoding": "identity" if policy.is_strict else ACCEPTED,
    }
    sent["Connection"] = "close"
    try:
        connection.request(
            method,
            target.path,
            body=body,
            headers=sent,
            preload_content=False,
            decode_content=False,
        )
        return _read(connection, limit, may_be_compressed=not policy.is_strict)
    except (OSError, http.client.HTTPException, HTTPError, ValueError) as error:
        # From None: a traceback of the cause would hold the request.
        raise FetchError(limits.breach or _reason(error)) from None
    finally:
        connection.close()


def _connection(target: Target, addresses: tuple[IPAddress, ...], limits: Limits, ca_file: str) -> Pinned:
    connection: Pinned
    timeout = max(limits.ends_at - time.monotonic(), 0.001)
    if target.is_https:
        try:
            context = tls_context(ca_file, os.stat(ca_file).st_mtime_ns) if ca_file else tls_context()
        except OSError:
            raise FetchError("tls") from None
        connection = PinnedTLS(target.host, target.port, timeout=timeout, ssl_context=context)
    else:
        connection = Pinned(target.host, target.port, timeout=timeout)
    connection.addresses, connection.limits = addresses, limits
    return connection


def _read(connection: Pinned, limit: int, *, may_be_compressed: bool) -> Response:
    response = connection.getresponse()
    try:
        headers = {name.lower(): response.headers[name] for name in response.headers}
        coding = headers.get("content-encoding", "")
        is_compressed = coding.strip().lower() not in {"identity", ""}
        if is_compressed and not may_be_compressed:
            raise FetchError("encoding")
        declared = response.length_remaining
        if declared is not None and declared > limit:
            raise FetchError("too_large")
        body = response.read(limit + 1)
        if len(body) > limit:
            raise FetchError("too_large")
        if declared is not None and len(body) < declared:
            raise FetchError("broken")
        if is_compressed and body:
            body = inflate(body, coding, limit)
        return Response(response.status, headers, body)
    finally:
        response.close()


def _reason(error: Exception) -> str:
    if isinstance(error, FetchError):
        return error.reason
    causes = (error, *error.args, error.__cause__, error.__context__)
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in type(error).__name__:
        return "timeout" if "timed out" in str(error) else "tls"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "timeout"
    if isinstance(error, (http.client.HTTPException, HTTPError, ValueError)):
        return "broken"
    return "connect"
