"""The fetcher against servers that mean harm, and against targets that it must not even knock at (I14)."""

from __future__ import annotations

import contextlib
import gzip
import os
import resource
import socket
import ssl
import threading
import zlib

import pytest

from django_lazyauth.kit import fetch
from django_lazyauth.kit.fetch import OPERATOR, STRANGER, FetchError, names, sockets
from tests.support.certificates import certificate

# fmt: off
NON_PUBLIC_ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
    "127.1.2.3", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.8",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1",
    "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1",
    "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1",
    "fd12:3456::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1",
    "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1", "fe80::5efe:10.0.0.1",
]
# fmt: on

# fmt: off
OTHER_NOTATIONS = [
    "2130706433", "0x7f000001", "017700000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "0", "0x0",
    "1", "00.0.0.0", "127.0.0.01", "0x7f.0.0.0x1", "3232235521", "10.1", "192.168.257", "134744072",
    "0x08080808", "8.8.2056", "010.010.010.010", "1.2.3.4.5", "256.256.256.256",
]
# fmt: on

NAMES_OF_HERE = ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"]

TARGETS = (
    [f"https://{f'[{a}]' if ':' in a else a}/" for a in NON_PUBLIC_ADDRESSES]
    + [f"https://{host}/" for host in OTHER_NOTATIONS]
    + [f"https://{host}/" for host in NAMES_OF_HERE]
)

MALFORMED = [
    "",
    "https://",
    "https:///path",
    "//id.example/",
    "https://user@id.example/",
    "https://user:password@127.0.0.1/",
    "https://id.example:0/",
    "https://id.example:70000/",
    "https://id.example:port/",
    "https://id.example/#fragment",
    "https://id.example\\@127.0.0.1/",
    "https://id.example/ HTTP/1.1\r\nX: y",
    "https://id.example/\x00",
    "https://ï.example/",
    "https://-id.example/",
    "https://id..example/",
    "https://id.example./",
    "https://[::1",
    "https://id.example/" + "x" * 2048,
    None,
]


@pytest.fixture
def no_socket(monkeypatch):
    """Fail on any socket; the resolver is answered for."""
    opened = []

    class Forbidden(socket.socket):
        def __init__(self, *args, **kwargs):
            opened.append(args)
            raise AssertionError("a socket was opened")

    monkeypatch.setattr(sockets, "PlainSocket", Forbidden)
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: opened.append(a))
    yield opened
    assert opened == []


@pytest.fixture
def resolver(monkeypatch):
    """Answer the resolver's questions with given addresses, and count them."""
    asked = []

    def answer_with(*addresses, port=None):
        def getaddrinfo(host, asked_port, *args, **kwargs):
            asked.append(host)
            return [
                (
                    socket.AF_INET6 if ":" in address else socket.AF_INET,
                    socket.SOCK_STREAM,
                    6,
                    "",
                    (address, asked_port),
                )
                for address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return answer_with


def reason_of(url, **options) -> str:
    with pytest.raises(FetchError) as caught:
        fetch.get(url, **{"policy": STRANGER, **options})
    return caught.value.reason


# --- Targets ----------------------------------------------------------------------------------------------


def test_the_corpus_is_large_enough():
    assert len(set(TARGETS)) >= 60


@pytest.mark.parametrize("url", TARGETS)
def test_a_stranger_reaches_nothing_that_is_not_public(url, no_socket):
    """I14: every notation of every private place, and no socket."""
    assert reason_of(url) in {"address", "url"}


@pytest.mark.parametrize("address", NON_PUBLIC_ADDRESSES)
def test_a_name_that_resolves_to_a_private_place_is_refused(address, no_socket, resolver):
    """I14: what counts is the address, not the name."""
    resolver(address)
    assert reason_of("https://id.example/") == "address"


@pytest.mark.parametrize("answers", [("8.8.8.8", "10.0.0.1"), ("10.0.0.1", "8.8.8.8"), ("8.8.8.8", "::1")])
def test_one_private_answer_among_public_ones_refuses_all(answers, no_socket, resolver):
    """I14: a mixed answer is how rebinding begins."""
    resolver(*answers)
    assert reason_of("https://id.example/") == "address"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::200e"])
def test_public_addresses_are_public(address):
    assert fetch.is_global_address(address)


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("policy", [STRANGER, OPERATOR])
def test_a_malformed_url_is_refused_by_everybody(url, policy, no_socket):
    """RFC 3986: no userinfo, no fragment, no backslash, no control characters."""
    assert reason_of(url, policy=policy) in {"url", "not_https", "address"}


@pytest.mark.parametrize(
    "url", ["http://id.example/", "ftp://id.example/", "file:///etc/passwd", "http://127.0.0.1/"]
)
@pytest.mark.parametrize("policy", [STRANGER, OPERATOR])
def test_only_https_leaves_this_site(url, policy, no_socket):
    """I14; loopback too, unless the setting for development allows it."""
    assert reason_of(url, policy=policy) == "not_https"


def test_the_name_is_resolved_once_and_the_connection_goes_to_that_answer(hostile, resolver, lazyauth):
    """I14: the second answer of a rebinding name is never asked for."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    server = hostile(plain(b"{}"))
    asked = resolver("127.0.0.1")
    assert fetch.get(f"http://localhost:{server.port}/", policy=STRANGER).body == b"{}"
    assert asked == ["localhost"]
    assert server.requests[0].startswith(b"GET / HTTP/1.1\r\nHost: localhost:%d\r\n" % server.port)


def test_a_connection_goes_to_the_address_that_was_checked_and_to_no_name(hostile, resolver, lazyauth):
    """I14: the system would resolve a name once more. Here it knows another address, where a server answers."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    server = hostile(plain(b"{}"))
    resolver("127.0.0.2")
    assert reason_of(f"http://localhost:{server.port}/") == "connect"
    assert server.requests == []


def test_loopback_is_for_loopback_names_only(no_socket, resolver, lazyauth):
    """The setting for development opens no door to a stranger's name."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    resolver("127.0.0.1")
    assert reason_of("https://id.example/") == "address"
    assert reason_of("http://id.example/") == "not_https"
    resolver("10.0.0.1")
    assert reason_of("http://localhost/") == "address"


def test_a_slow_resolver_meets_the_deadline(monkeypatch):
    """Threat model: 5 s in all, including DNS."""
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: released.wait(10) and [])
    assert reason_of("https://id.example/", deadline=0.3) == "timeout"
    released.set()


def test_strangers_names_that_hang_leave_the_operators_alone(monkeypatch):
    """Look-ups in progress are bounded, and each policy has its own bound."""
    released, begun = threading.Event(), []

    def hang(*args, **kwargs):
        begun.append(threading.current_thread())
        released.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        while len(begun) < names.LOOKUP_LIMIT:
            assert reason_of("https://id.example/", deadline=0.01) == "timeout"
        assert reason_of("https://id.example/", deadline=0.01) == "timeout"
        assert len(begun) == names.LOOKUP_LIMIT
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [])
        assert reason_of("https://id.example/", policy=OPERATOR) == "address"
    finally:
        released.set()
        for thread in begun:
            thread.join(60)


def test_a_name_that_does_not_resolve_is_told_so(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert reason_of("https://id.example/") == "dns"


# --- Answers ----------------------------------------------------------------------------------------------


class Hostile:
    """One script for every connection, on an ephemeral port."""

    def __init__(self, script, context=None):
        self.script, self.context = script, context
        self.requests = []
        self.names = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.serve)]
        self.threads[0].start()

    def serve(self):
        self.listener.settimeout(0.05)
        while not self.stopped.is_set():
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self.handle, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def handle(self, connection):
        connection.settimeout(5)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                stack.callback(connection.close)
            self.requests.append(read_request(connection))
            self.script(connection, self.stopped)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        self.listener.close()


@pytest.fixture
def hostile(lazyauth):
    """Start a server that runs a script; plain http on loopback is allowed."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    servers = []

    def start(script, context=None):
        servers.append(Hostile(script, context))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def read_request(connection):
    """Read a request to the end of the body that it declares."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(65536)
        if not received:
            return request
        request += received
    head, _, body = request.partition(b"\r\n\r\n")
    length = int(dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:]).get(b"Content-Length", 0))
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def plain(body, *headers, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return lambda connection, _: connection.sendall("\r\n".join(lines).encode() + body)


def raw(data):
    return lambda connection, _: connection.sendall(data)


def endless(head, chunk):
    def script(connection, stopped):
        connection.sendall(head)
        while not stopped.is_set():
            connection.sendall(chunk)

    return script


def dripping(head):
    def script(connection, stopped):
        connection.sendall(head)
        while not stopped.wait(0.05):
            connection.sendall(b"a")

    return script


def ask(server, **options):
    return fetch.get(f"http://127.0.0.1:{server.port}/doc?a=b", **{"policy": STRANGER, **options})


def test_an_answer_comes_back_whole(hostile):
    server = hostile(plain(b'{"a": 1}', "ETag: x", "Vary: a", "Vary: b"))
    response = ask(server, headers={"X-Asked": "yes"})
    assert (response.status, response.ok, response.json()) == (200, True, {"a": 1})
    assert (response.headers["etag"], response.headers["vary"]) == ("x", "a, b")
    request = server.requests[0]
    assert request.startswith(b"GET /doc?a=b HTTP/1.1\r\n")
    assert b"Accept-Encoding: identity" in request
    assert b"X-Asked: yes" in request


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_an_interim_answer_is_not_taken_for_the_answer(hostile, status):
    """RFC 9110 §15.2: one or more may come before it, also unexpected."""
    interim = f"HTTP/1.1 {status} Wait\r\nLink: </style.css>; rel=preload\r\n\r\n".encode()
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + b'{"a": 1}'
    assert ask(hostile(raw(interim * 3 + final))).json() == {"a": 1}


def test_interim_answers_without_end_are_cut_at_the_cap(hostile):
    server = hostile(endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100))
    assert reason_of(f"http://127.0.0.1:{server.port}/") == "too_large"


def test_the_proxy_of_the_environment_is_not_used(hostile, monkeypatch):
    """A proxy would resolve the name again, where nobody judges the address."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert ask(hostile(plain(b"{}"))).body == b"{}"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_an_answer_and_not_followed(hostile, status):
    """I14: an inward redirect leads nowhere."""
    other = hostile(plain(b"inside"))
    server = hostile(plain(b"", f"Location: http://127.0.0.1:{other.port}/", status=status))
    response = ask(server)
    assert (response.status, response.ok, response.body) == (int(status[:3]), False, b"")
    assert other.requests == []


@pytest.mark.parametrize(
    ("status", "location", "told", "without_path"),
    [
        (302, "https://u:p@id.example:8443/a?b=c#d", "https://id.example:8443/a", "https://id.example:8443"),
        (307, "/a/b?c", "/a/b", "elsewhere"),
        (301, "https://id.example:port/", "elsewhere", "elsewhere"),
        (308, None, "elsewhere", "elsewhere"),
        (
            302,
            "https://id.example/\N{LATIN SMALL LETTER A WITH DIAERESIS}\r\nx",
            "https://id.example/?x",
            "https://id.example",
        ),
        (302, "https://id.example/" + "x" * 500, "https://id.example/" + "x" * 181, "https://id.example"),
        (304, "https://id.example/", "", ""),
        (200, "https://id.example/", "", ""),
    ],
)
def test_an_operator_is_told_scheme_host_and_path_of_a_redirect(status, location, told, without_path):
    """I13: its query may hold what the request held."""
    response = fetch.Response(status, {} if location is None else {"location": location}, b"")
    assert response.location() == told
    assert response.location(with_path=False) == without_path


HUGE = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"
CHUNK = b"x" * 65_536


@pytest.mark.parametrize(
    "script",
    [
        endless(HUGE, CHUNK),
        endless(b"HTTP/1.1 200 OK\r\n\r\n", CHUNK),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + CHUNK + b"\r\n"),
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"y" * 1000 + b"\r\n"),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(b"", CHUNK),
    ],
    ids=["declared", "undeclared", "chunked", "headers", "continue", "status line"],
)
def test_a_gigabyte_is_cut_at_the_cap_and_memory_stays_flat(hostile, script):
    """I14: RSS grows by less than 5 MB."""
    server = hostile(script)
    with contextlib.suppress(FetchError):
        ask(server)  # what is loaded once is loaded now
    before = rss()
    for _ in range(3):
        with pytest.raises(FetchError) as caught:
            ask(server)
        assert caught.value.reason in {"too_large", "broken"}
    assert rss() - before < 5 * 1024 * 1024


def rss():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def test_a_body_of_the_cap_passes_and_one_byte_more_does_not(hostile):
    assert len(ask(hostile(plain(b"x" * 1000)), max_bytes=1000).body) == 1000
    with pytest.raises(FetchError, match="too_large"):
        ask(hostile(plain(b"x" * 1001)), max_bytes=1000)
    undeclared = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001
    with pytest.raises(FetchError, match="too_large"):
        ask(hostile(raw(undeclared)), max_bytes=1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x-gzip"])
def test_a_compressed_answer_is_refused_unopened(hostile, coding):
    """I14: 1 KB of gzip can be 1 MB."""
    bomb = gzip.compress(b"\0" * 10_000_000)
    with pytest.raises(FetchError, match="encoding"):
        ask(hostile(plain(bomb, f"Content-Encoding: {coding}")))


JSON = b'{"a": "' + bytes(range(97, 123)) * 40 + b'"}'


def deflated(body, bits):
    compressor = zlib.compressobj(wbits=bits)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(JSON)),
        ("X-GZIP", gzip.compress(JSON)),
        ("deflate", deflated(JSON, 15)),
        ("deflate", deflated(JSON, -15)),
        ("identity", JSON),
    ],
    ids=["gzip", "gzip in capitals", "zlib", "raw deflate", "identity"],
)
def test_what_the_operator_chose_may_be_compressed(hostile, coding, body):
    """RFC 9110 §8.4.1."""
    server = hostile(plain(body, f"Content-Encoding: {coding}"))
    assert ask(server, policy=OPERATOR).body == JSON
    assert b"Accept-Encoding: gzip, deflate\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("coding", "body", "options", "reason"),
    [
        ("gzip", gzip.compress(b"\0" * 10_000_000), {}, "too_large"),
        ("gzip", gzip.compress(b"\0" * 100_000), {}, "too_large"),
        ("deflate", deflated(b"\0" * 100_000, -15), {}, "too_large"),
        ("gzip", gzip.compress(os.urandom(2000)), {"max_bytes": 1999}, "too_large"),
        ("gzip", gzip.compress(b" " * 1500 + os.urandom(400)), {"max_bytes": 1000}, "too_large"),
        ("gzip", gzip.compress(JSON)[:-9], {}, "broken"),
        ("gzip", gzip.compress(JSON) * 2, {}, "broken"),
        ("gzip", JSON, {}, "broken"),
        ("deflate", b"\xff" * 50, {}, "broken"),
        ("br", JSON, {}, "encoding"),
        ("gzip, gzip", gzip.compress(gzip.compress(JSON)), {}, "encoding"),
    ],
    # Not of the bodies: gzip writes the time into its header, and each worker collects at another second.
    ids=[
        "too much in all",
        "too high a ratio",
        "too high a ratio of deflate",
        "random, one byte too much",
        "small, too much once inflated",
        "cut off",
        "twice",
        "not compressed",
        "no deflate",
        "brotli",
        "compressed twice",
    ],
)
def test_what_is_inflated_counts(hostile, coding, body, options, reason):
    """Spec: a gzip bomb is kept out: the inflated size counts, at most 100 times what was sent."""
    with pytest.raises(FetchError) as caught:
        ask(hostile(plain(body, f"Content-Encoding: {coding}")), policy=OPERATOR, **options)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("policy", "limit"), [(STRANGER, 64 * 1024), (OPERATOR, 1024 * 1024)])
def test_who_chose_the_address_says_how_long_an_answer_may_be(hostile, policy, limit):
    assert len(ask(hostile(plain(b"x" * limit)), policy=policy).body) == limit
    with pytest.raises(FetchError, match="too_large"):
        ask(hostile(plain(b"x" * (limit + 1))), policy=policy)


def test_a_bomb_that_does_not_say_so_stays_closed(hostile):
    bomb = gzip.compress(b"\0" * 1_000_000)
    response = ask(hostile(plain(bomb)))
    assert response.body == bomb
    with pytest.raises(FetchError, match="not_json"):
        response.json()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["status line", "header", "body", "undeclared body", "chunk size"],
)
def test_a_slow_drip_meets_the_deadline(hostile, head):
    """I14: a byte now and then resets no clock."""
    server = hostile(dripping(head))
    with pytest.raises(FetchError, match="timeout"):
        ask(server, deadline=0.3)


def test_a_server_that_never_answers_meets_the_deadline(hostile):
    server = hostile(lambda connection, stopped: stopped.wait(5))
    with pytest.raises(FetchError, match="timeout"):
        ask(server, deadline=0.3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"\0\1\2",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
    ],
)
def test_what_is_not_http_or_is_cut_off_is_told_so(hostile, data):
    with pytest.raises(FetchError) as caught:
        ask(hostile(raw(data)))
    assert caught.value.reason in {"broken", "connect"}


def test_nobody_at_home_is_told_so(lazyauth):
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert reason_of(f"http://127.0.0.1:{port}/") == "connect"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<h1>",
        b"{",
        b"\xff",
        '{"a":1}'.encode("utf-16"),
        b"NaN",
        b'{"a": Infinity}',
        b"[" * 60_000,
        b"[" * 40 + b"]" * 40,
        b"1" * 5000,
    ],
)
def test_what_is_not_json_is_told_so(body):
    """RFC 8259: UTF-8, no NaN; and no bottomless nesting."""
    with pytest.raises(FetchError, match="not_json"):
        fetch.Response(200, {}, body).json()


def test_an_object_is_asked_for_by_name():
    assert fetch.Response(200, {}, b"[1]").json() == [1]
    with pytest.raises(FetchError, match="not_json"):
        fetch.Response(200, {}, b"[1]").json_object()


# --- Forms ------------------------------------------------------------------------------------------------


def test_credentials_are_form_encoded_before_they_are_basic(hostile):
    """RFC 6749 §2.3.1."""
    server = hostile(plain(b"{}"))
    fetch.post_form(f"http://127.0.0.1:{server.port}/token", {"a b": "c&d"}, auth=("id:1", "s/e+c %"))
    request = server.requests[0]
    assert b"Authorization: Basic aWQlM0ExOnMlMkZlJTJCYyslMjU=\r\n" in request
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in request
    assert request.endswith(b"\r\n\r\na+b=c%26d")


def test_an_error_holds_nothing_of_the_request(hostile):
    """I13: neither the text of the error nor its chain."""
    server = hostile(plain(b"secret-in-body", status="500 Oops"))
    assert "secret" not in repr(ask(server))
    closed = hostile(raw(b""))
    url = f"http://127.0.0.1:{closed.port}/?secret=1"
    with pytest.raises(FetchError) as caught:
        fetch.post_form(url, {"client_secret": "secret"}, auth=("id", "secret"))
    assert "secret" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# --- TLS --------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_server(hostile, tmp_path, resolver):
    """Start a TLS server behind the name ``id.example``; give its URL."""

    def start(script, *, trusted=True, **options):
        path = certificate(tmp_path, **options)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        seen = []
        context.sni_callback = lambda sock, name, ctx: seen.append(name)
        server = hostile(script, context)
        server.names = seen
        if trusted:
            sockets.tls_context().load_verify_locations(path)
        resolver("127.0.0.1")
        return server

    sockets.tls_context.cache_clear()
    yield start
    sockets.tls_context.cache_clear()


def test_tls_names_the_host_and_checks_its_certificate(tls_server):
    """Pinned to the address, and still SNI, Host and certificate are the name's (RFC 9110 §4.3.4)."""
    server = tls_server(plain(b"{}"))
    assert fetch.get(f"https://id.example:{server.port}/", policy=OPERATOR).body == b"{}"
    assert server.names == ["id.example"]
    assert b"Host: id.example:%d" % server.port in server.requests[0]


@pytest.mark.parametrize("options", [{"names": ("other.example",)}, {"days": -1}, {"trusted": False}])
def test_a_certificate_that_is_not_the_hosts_is_refused(tls_server, options):
    server = tls_server(plain(b"{}"), **options)
    assert reason_of(f"https://id.example:{server.port}/", policy=OPERATOR) == "tls"
    assert server.requests == []


def test_a_drip_over_tls_meets_the_deadline_too(tls_server):
    server = tls_server(dripping(b"HTTP/1.1 200 OK\r\n\r\n"))
    assert reason_of(f"https://id.example:{server.port}/", policy=OPERATOR, deadline=0.5) == "timeout"


def test_a_handshake_that_hangs_meets_the_deadline(hostile, resolver):
    server = hostile(lambda connection, stopped: stopped.wait(5))
    resolver("127.0.0.1")
    assert reason_of(f"https://id.example:{server.port}/", policy=OPERATOR, deadline=0.3) == "timeout"


def test_the_next_address_is_tried_where_one_refuses(tls_server, resolver):
    server = tls_server(plain(b"{}"))
    resolver("127.0.0.2", "127.0.0.1")
    assert fetch.get(f"https://id.example:{server.port}/", policy=OPERATOR).body == b"{}"


def test_no_descriptor_is_left_open(hostile):
    server = hostile(plain(b"{}"))
    ask(server)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        ask(server)
    # Far fewer than one each; a test that ran before may still be closing one of its own.
    assert len(os.listdir("/proc/self/fd")) <= before + 5
