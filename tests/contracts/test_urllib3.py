"""What the product uses of urllib3 that its documentation does not promise."""

from __future__ import annotations

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
