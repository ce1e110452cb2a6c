"""Connections to checked addresses. The socket itself enforces the deadline and the byte limit."""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from urllib3.connection import HTTPConnection, HTTPSConnection

from .addresses import IPAddress

if TYPE_CHECKING:
    from ssl import SSLSocket as _SocketBase
else:
    _SocketBase = object

#: Addresses of one host that are tried before giving up.
ADDRESS_LIMIT = 4


@dataclass(slots=True)
class Limits:
    """The time and bytes that one request has left. ``breach`` names the limit that ended it."""

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
    """A socket whose reads may use only the time and the bytes that the whole request has left.

    An ordinary timeout restarts with every byte, so a server that sends slowly would never exceed it.
    """

    limits: Limits | None = None

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


class PlainSocket(_Limited, socket.socket):
    """TCP."""


class TLSSocket(_Limited, ssl.SSLSocket):
    """TLS over TCP."""


@lru_cache(maxsize=32)
def tls_context(ca_file: str = "", changed_at: int = 0) -> ssl.SSLContext:
    """Return the context with the trust store of the system. Reading its certificates takes milliseconds.

    Args:
        ca_file: Path of further trust anchors.
        changed_at: When that file was written, so that a new one is read.

    Raises:
        OSError: The file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    context.sslsocket_class = TLSSocket
    return context


class _FinalResponse(http.client.HTTPResponse):
    """The answer that follows interim ones, such as 103 Early Hints (RFC 9110 §15.2). Their bytes count."""

    def _read_status(self) -> tuple[str, int, str]:
        # Private. The standard library skips 100 and takes every other interim answer for the final one.
        version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed does not have it
        is_interim = 100 <= status < 200 and status != HTTPStatus.SWITCHING_PROTOCOLS
        return version, HTTPStatus.CONTINUE if is_interim else status, reason


class Pinned(HTTPConnection):
    """A connection to checked addresses; the host name is used for ``Host``, SNI and the certificate only."""

    response_class = _FinalResponse
    addresses: tuple[IPAddress, ...] = ()
    limits: Limits

    def _new_conn(self) -> socket.socket:
        tries = self.addresses[:ADDRESS_LIMIT]
        failure: OSError = OSError()
        for position, address in enumerate(tries):
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            sock = PlainSocket(family, socket.SOCK_STREAM)
            try:
                # An address that does not answer leaves the others their share of the time.
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


class PinnedTLS(Pinned, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        # Wrapping made a new socket object without limits. The handshake used the timeout of the plain socket.
        cast(TLSSocket, self.sock).limits = self.limits
