"""What the product uses of urllib3 that its documentation does not promise."""

from __future__ import annotations

import http.client
import socket

from urllib3.connection import HTTPConnection


def test_a_connection_takes_its_socket_from_one_method():
    """``kit/fetch/sockets.py``: it returns a socket to an address that was checked (I14)."""
    ours, theirs = socket.socketpair()

    class Pinned(HTTPConnection):
        def _new_conn(self):
            return ours

    connection = Pinned("never-looked-up.example", 80)
    with theirs:
        connection.connect()
        assert connection.sock is ours
        connection.request("GET", "/")
        assert theirs.recv(100).startswith(b"GET / HTTP/1.1\r\nHost: never-looked-up.example\r\n")
        connection.close()


def test_the_first_line_of_an_answer_is_read_by_one_method_of_the_connections_own_class():
    """``kit/fetch/sockets.py``: it says 100 of every interim answer, which is skipped then (RFC 9110 §15.2)."""
    ours, theirs = socket.socketpair()
    read = []

    class Response(http.client.HTTPResponse):
        def _read_status(self):
            version, status, reason = super()._read_status()
            read.append(status)
            return version, 100 if status == 103 else status, reason

    class Pinned(HTTPConnection):
        response_class = Response

        def _new_conn(self):
            return ours

    connection = Pinned("one.example", 80)
    with theirs:
        connection.request("GET", "/")
        theirs.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 Done\r\n\r\n")
        assert connection.getresponse().status == 204
        assert read == [103, 204]
        connection.close()
