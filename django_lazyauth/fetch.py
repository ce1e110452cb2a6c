"""The one way out: how this site asks another server for something, and what it refuses to do for that.

Every request is https, resolves its host once, judges every address of the answer, connects to a judged
address and to nothing else, and ends at a total deadline and a size cap, whatever the other side does.

Not here: no redirects, no compression, no proxy from the environment, no cookies, no retries, no connection
kept for later, no judgement of the status. A caller that wants 200 asks for it. An error never holds a URL's
query, a header or a body (I13).
"""

from __future__ import annotations

import base64
import enum
import http.client
import ipaddress
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_plus, urlencode, urlsplit

from django.views.decorators.debug import sensitive_variables
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from django_lazyauth.conf import LOOPBACK_HOSTS, lazyauth_settings
from django_lazyauth.errors import LazyAuthError

if TYPE_CHECKING:
    from ssl import SSLSocket as _SocketBase
else:
    _SocketBase = object

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Bytes of a document that a stranger serves (threat model, "outbound fetch").
DOCUMENT_LIMIT = 64 * 1024
#: Bytes of a key set.
KEY_SET_LIMIT = 32 * 1024
#: Bytes of status line, headers and chunk framing, beyond the body's own cap.
FRAMING_LIMIT = 64 * 1024
#: Levels of arrays and objects in a JSON answer. Real documents have four.
JSON_DEPTH_LIMIT = 32
#: Characters of a URL.
URL_LIMIT = 2048
#: Name look-ups in progress at one time in this process, per policy: one that hangs holds a thread of ours.
LOOKUP_LIMIT = 32
#: Addresses of one host that are tried before giving up.
ADDRESS_LIMIT = 4

USER_AGENT = "django-lazyauth"


class FetchError(LazyAuthError):
    """Nothing usable came back. ``reason`` is one short word, safe to log and to show.

    ``url`` malformed · ``not_https`` · ``dns`` the name does not resolve · ``address`` a target that the
    policy refuses · ``connect`` · ``tls`` · ``timeout`` the deadline passed · ``too_large`` · ``encoding``
    compressed all the same · ``broken`` not HTTP, or cut off · ``not_json`` · ``status`` for callers that
    expected another one.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Policy(enum.Enum):
    """Who chose the URL, and therefore which addresses it may lead to."""

    #: Somebody we do not know: every resolved address must be globally routable unicast (I14).
    STRANGER = "stranger"
    #: The operator of this site, in its settings: any address, also an internal one.
    OPERATOR = "operator"


STRANGER = Policy.STRANGER
OPERATOR = Policy.OPERATOR


@dataclass(frozen=True, slots=True)
class Response:
    """What came back.

    Attributes:
        status: HTTP status; redirects are answers like any other.
        headers: By lower-case name; repeated ones are joined with commas (RFC 9110 §5.2).
        body: At most as many bytes as the caller allowed.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return self.status == http.HTTPStatus.OK

    def json(self) -> Any:
        """Return the body as JSON (RFC 8259: UTF-8, no NaN).

        Raises:
            FetchError: ``not_json``: something else, or nested deeper than 32 levels.
        """
        try:
            value = json.loads(self.body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise FetchError("not_json") from None
        if _depth_exceeds(value, JSON_DEPTH_LIMIT):
            raise FetchError("not_json")
        return value

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            FetchError: ``not_json``: anything else.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise FetchError("not_json")
        return value


@sensitive_variables()
def get(
    url: str,
    *,
    policy: Policy,
    max_bytes: int = DOCUMENT_LIMIT,
    headers: Mapping[str, str] | None = None,
    deadline: float = 5.0,
) -> Response:
    """GET *url*.

    Args:
        url: Absolute, https; plain http only to loopback where ``ALLOW_LOOPBACK_UPSTREAMS`` is set.
        policy: Who chose the URL.
        max_bytes: A longer body is refused, not cut.
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
    max_bytes: int = DOCUMENT_LIMIT,
    headers: Mapping[str, str] | None = None,
    deadline: float = 10.0,
) -> Response:
    """POST *fields* as a form to a token or revocation endpoint (RFC 6749 §3.2).

    Args:
        url: As for :func:`get`.
        fields: Form fields.
        auth: Client id and secret, sent as HTTP Basic, each form-encoded first (RFC 6749 §2.3.1).
        policy: Who chose the URL; token endpoints are the operator's as a rule.
        max_bytes: A longer answer is refused.
        headers: Sent beside ours.
        deadline: Seconds in all.

    Raises:
        FetchError: No answer within the limits.
    """
    merged = {"Accept": "application/json", **(headers or {})}
    merged["Content-Type"] = "application/x-www-form-urlencoded"
    if auth is not None:
        credentials = ":".join(quote_plus(part) for part in auth)
        merged["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
    body = urlencode(fields).encode()
    return _send("POST", url, body, merged, policy=policy, limit=max_bytes, deadline=deadline)


def check_url(url: str) -> None:
    """Refuse a URL that could never be fetched, without asking the network for anything.

    Raises:
        FetchError: ``url`` or ``not_https``.
    """
    _Target.parse(url)


def is_global_address(text: str) -> bool:
    """Say whether *text* is an address of the public Internet, in the one canonical notation.

    Stricter than :attr:`ipaddress.IPv6Address.is_global`: an address that leads to an IPv4 address by
    embedding it (mapped, NAT64, 6to4, Teredo, ISATAP) is refused whatever it embeds.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return _is_global(address)


# --- Which URL, and which address -------------------------------------------------------------------------

#: IANA special-purpose registries (RFC 6890), and what else leads somewhere that is not one public host.
_REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
#: All IPv6 unicast that IANA has given out. ULA, link-local, site-local, mapped and NAT64 lie outside.
_IPV6_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: Interface identifiers that embed an IPv4 address (ISATAP, RFC 5214 §6.1), the local and the global form.
_ISATAP_MARKS = frozenset({0x0000_5EFE, 0x0200_5EFE})

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")

#: A host whose last label looks like a number is an IPv4 address to some parser (WHATWG URL §3.5).
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+")


def _is_global(address: IPAddress) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in _REFUSED_NETWORKS if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    isatap = (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_MARKS
    return address in _IPV6_GLOBAL_UNICAST and address.scope_id is None and not isatap


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL taken apart; ``address`` is set where the host is an address in canonical notation."""

    is_https: bool
    host: str
    port: int
    path: str = field(repr=False)
    address: IPAddress | None

    @classmethod
    def parse(cls, url: str) -> _Target:
        if not isinstance(url, str) or len(url) > URL_LIMIT or not _PRINTABLE_ASCII.fullmatch(url):
            raise FetchError("url")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise FetchError("url") from None
        is_https = parts.scheme == "https"
        if not is_https and not (
            parts.scheme == "http" and host in LOOPBACK_HOSTS and lazyauth_settings.allow_loopback_upstreams
        ):
            raise FetchError("not_https")
        if "@" in parts.netloc or "\\" in url or "#" in url or port == 0:
            raise FetchError("url")
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        return cls(is_https, host, port or (443 if is_https else 80), path, _literal_address(host))

    def admits(self, address: IPAddress, policy: Policy) -> bool:
        """Say whether this target may be served from *address*."""
        if lazyauth_settings.allow_loopback_upstreams and self.host in LOOPBACK_HOSTS and address.is_loopback:
            return True
        return self.is_https and (policy is OPERATOR or _is_global(address))


def _literal_address(host: str) -> IPAddress | None:
    """Return the address that *host* spells, ``None`` for a name; refuse every notation but the canonical."""
    if "%" in host:
        raise FetchError("address")  # a zone id names an interface of this machine (RFC 4007 §11)
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if ":" in host or _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise FetchError("address")
    if not _HOST_NAME.fullmatch(host):
        raise FetchError("url")
    return None


# --- The deadline and the byte budget, held by the socket itself ------------------------------------------


@dataclass(slots=True)
class _Limits:
    """What is left of one request. ``breach`` says which limit ended it."""

    ends_at: float
    bytes_left: int
    breach: str = ""

    def seconds_left(self) -> float:
        left = self.ends_at - time.monotonic()
        if left <= 0:
            self.breach = "timeout"
            raise TimeoutError
        return left

    def count(self, received: int) -> None:
        self.bytes_left -= received
        if self.bytes_left < 0:
            self.breach = "too_large"
            raise OSError


class _Limited(_SocketBase):
    """A socket that grants each read only the time and the bytes that the whole request has left.

    A timeout of the usual kind starts anew with every byte, so a server that drips would never meet it.
    """

    limits: _Limits | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.limits is None:
            return super().recv_into(*args, **kwargs)
        self.settimeout(self.limits.seconds_left())
        received = super().recv_into(*args, **kwargs)
        self.limits.count(received)
        return received

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        if self.limits is not None:
            self.settimeout(self.limits.seconds_left())
        super().sendall(*args, **kwargs)


class _PlainSocket(_Limited, socket.socket):
    """TCP."""


class _TLSSocket(_Limited, ssl.SSLSocket):
    """TLS over TCP."""


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """Return the context that trusts what the system trusts; reading its certificates takes milliseconds."""
    context = ssl.create_default_context()
    context.sslsocket_class = _TLSSocket
    return context


class _Pinned(HTTPConnection):
    """A connection to addresses that were judged; its host name serves ``Host``, SNI and certificate only."""

    addresses: tuple[IPAddress, ...] = ()
    limits: _Limits

    def _new_conn(self) -> socket.socket:
        tries = self.addresses[:ADDRESS_LIMIT]
        failure: OSError = OSError()
        for position, address in enumerate(tries):
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            sock = _PlainSocket(family, socket.SOCK_STREAM)
            try:
                # An address that swallows packets leaves its fair share to the others.
                sock.settimeout(self.limits.seconds_left() / (len(tries) - position))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect((str(address), self.port))
                sock.settimeout(self.limits.seconds_left())
            except OSError as error:
                sock.close()
                failure = error
            else:
                sock.limits = self.limits
                sys.audit("http.client.connect", self, str(address), self.port)
                return cast(socket.socket, sock)
        raise failure


class _PinnedTLS(_Pinned, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        # Wrapping made a new socket object, which knows nothing of the limits yet. The handshake itself
        # ran under the timeout that the plain socket had: one deadline for all of it.
        cast(_TLSSocket, self.sock).limits = self.limits


# --- One request ------------------------------------------------------------------------------------------


@sensitive_variables()
def _send(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    policy: Policy,
    limit: int,
    deadline: float,
) -> Response:
    limits = _Limits(ends_at=time.monotonic() + deadline, bytes_left=limit + FRAMING_LIMIT)
    target = _Target.parse(url)
    addresses = (target.address,) if target.address else _resolve(target, policy, limits)
    if not addresses or not all(target.admits(address, policy) for address in addresses):
        raise FetchError("address")
    connection = _connection(target, addresses, limits)
    sent = {"User-Agent": USER_AGENT, **headers, "Accept-Encoding": "identity", "Connection": "close"}
    try:
        connection.request(
            method,
            target.path,
            body=body,
            headers=sent,
            preload_content=False,
            decode_content=False,
        )
        return _read(connection, limit)
    except (OSError, http.client.HTTPException, HTTPError, ValueError) as error:
        # The chain is cut: a traceback of the cause would carry the request.
        raise FetchError(limits.breach or _reason(error)) from None
    finally:
        connection.close()


def _connection(target: _Target, addresses: tuple[IPAddress, ...], limits: _Limits) -> _Pinned:
    connection: _Pinned
    timeout = max(limits.ends_at - time.monotonic(), 0.001)
    if target.is_https:
        connection = _PinnedTLS(target.host, target.port, timeout=timeout, ssl_context=_tls_context())
    else:
        connection = _Pinned(target.host, target.port, timeout=timeout)
    connection.addresses, connection.limits = addresses, limits
    return connection


def _read(connection: _Pinned, limit: int) -> Response:
    response = connection.getresponse()
    try:
        headers = {name.lower(): response.headers[name] for name in response.headers}
        if headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
            raise FetchError("encoding")
        declared = response.length_remaining
        if declared is not None and declared > limit:
            raise FetchError("too_large")
        body = response.read(limit + 1)
        if len(body) > limit:
            raise FetchError("too_large")
        if declared is not None and len(body) < declared:
            raise FetchError("broken")
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


# --- Names, within the deadline ---------------------------------------------------------------------------

#: One per policy: strangers' names that hang must not keep the operator's providers from being found.
_lookups = {policy: threading.BoundedSemaphore(LOOKUP_LIMIT) for policy in Policy}


def _resolve(target: _Target, policy: Policy, limits: _Limits) -> tuple[IPAddress, ...]:
    """Return all addresses of the host, asked for once.

    The system's resolver knows no deadline, so it runs in a thread that is left behind when ours has passed.
    """
    slot = _lookups[policy]
    try:
        if not slot.acquire(timeout=limits.seconds_left()):
            raise FetchError("timeout")
        lookup = _Lookup(target.host, target.port, slot)
        lookup.start()
        lookup.join(limits.seconds_left())
    except TimeoutError:
        raise FetchError("timeout") from None
    if lookup.is_alive():
        raise FetchError("timeout")
    if lookup.found is None:
        raise FetchError("dns")
    return lookup.found


class _Lookup(threading.Thread):
    """One question to the resolver; ``found`` stays ``None`` where it failed."""

    def __init__(self, host: str, port: int, slot: threading.BoundedSemaphore) -> None:
        super().__init__(name="lazyauth-lookup", daemon=True)
        self.host, self.port, self.slot = host, port, slot
        self.found: tuple[IPAddress, ...] | None = None

    def run(self) -> None:
        try:
            answers = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            # A scoped answer ("fe80::1%eth0") keeps its scope, and is judged with it.
            self.found = tuple(dict.fromkeys(ipaddress.ip_address(answer[4][0]) for answer in answers))
        except (OSError, ValueError):
            self.found = None
        finally:
            self.slot.release()


# --- JSON -------------------------------------------------------------------------------------------------


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True
