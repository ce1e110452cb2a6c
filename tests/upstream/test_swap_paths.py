"""Spec 3, used downstream: no path that a tool server reads as one below a prefix passes ``UpstreamSwap`` unswapped."""

from __future__ import annotations

import asyncio
import posixpath
import re
from io import BytesIO
from urllib.parse import quote, unquote

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from django_lazyauth.api import asgi, wsgi
from django_lazyauth.conf import SwapSettings
from django_lazyauth.upstream.swap import provider_for
from django_lazyauth.upstream.swap_paths import MAX_READINGS, AmbiguousPath

SETTINGS = SwapSettings(paths={"/tools/": "acme", "/tools/special/": "other"})

#: Paths that some servers take for /tools/x, for /tools/special/x, or for neither.
AMBIGUOUS = [
    "/TOOLS/x",
    "/Tools/",
    "/tools/Special/x",
    "/tools;a/x",
    "/tools;a=b;c/x",
    "/;a/tools/x",
    "/x/..;/tools/y",
    "/x/..;a=b/tools/y",
    "/tools/..;/x",
    "//tools/x",
    "///tools/x",
    "/tools//special/x",
    "/./tools/x",
    "/tools/./special/x",
    "/x/../tools/y",
    "/../tools/y",
    "/tools/../x",
    "/tools/..",
    "/tools/special/..",
    "/x//../tools/y",
    "/x/%2e%2e/tools/y",
    "/x/%2E./tools/y",
    "/x%2f..%2ftools/y",
    "/%2e/tools/y",
    "/%74ools/x",
    "/%2574ools/x",
    "/tools%2fx",
    "/tools%252fx",
    "/tools%5cx",
    "\\tools\\x",
    "/\\tools/x",
    "/x\\..\\tools/y",
    "/tools./x",
    "/tools../x",
    "/tools /x",
    "/tools%20/x",
    "/tools\x00/x",
    "/to\tols/x",
    "/ｔools/x",
    "/tools／x",
    "/．．/tools/x",
    "tools/x",
    "/toolſ/x",
    "/other/\ufffd",
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_that_servers_read_in_two_ways_is_refused(path):
    with pytest.raises(AmbiguousPath):
        provider_for(path, SETTINGS)


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/tools", "acme"),
        ("/tools/a;b/c", "acme"),
        ("/tools/A//b/./c%20d/é.", "acme"),
        ("/tools/special/x/../y", "other"),
        ("/toolsmith/x", None),
        ("/x/tools/y", None),
        ("/x;a=b/y%2fz//..;/w", None),
        ("/été/100%", None),
        ("*", None),
        ("", None),
    ],
)
def test_a_path_that_all_servers_read_alike_is_served(path, provider):
    assert provider_for(path, SETTINGS) == provider


@pytest.mark.parametrize(
    ("raw_path", "provider"), [("/%74ools/x", "acme"), ("/tools/a%2fb%20c", "acme"), ("/t%C3%A9/x", None)]
)
def test_encoding_that_means_nothing_is_no_reason_to_refuse(raw_path, provider):
    """RFC 3986 §6.2.2.2: an encoded letter is the letter."""
    assert provider_for(unquote(raw_path), SETTINGS, raw_path=raw_path) == provider


@pytest.mark.parametrize("raw_path", ["/tools%2fx", "/tools%2Fspecial%2Fx", "/;x%2fy/tools/z", "/tools%5cx"])
def test_an_encoded_delimiter_is_refused_where_it_decides(raw_path):
    """RFC 3986 §2.2: servers may take ``%2F`` for a slash, or for a part of a segment."""
    with pytest.raises(AmbiguousPath):
        provider_for(unquote(raw_path), SETTINGS, raw_path=raw_path)


def test_a_prefix_that_is_not_ascii_is_found_as_it_is_sent():
    settings = SwapSettings(paths={"/Été/": "acme"})
    assert provider_for("/Été/x", settings, raw_path=quote("/Été/x")) == "acme"


def test_a_path_of_endless_encodings_is_refused():
    with pytest.raises(AmbiguousPath):
        provider_for("/x/%" + "25" * MAX_READINGS, SETTINGS)


def test_without_prefixes_every_path_passes():
    assert provider_for("//x/../y", SwapSettings()) is None


@pytest.mark.parametrize(
    "prefix", ["/a%20b/", "/a;b/", "/a\\b/", "/a//b/", "/a/../b/", "/./", "//", "/a?b/", "/a#b/"]
)
def test_a_prefix_that_no_server_tells_like_that_is_refused(prefix):
    """Such a prefix never matched, and every token passed."""
    with pytest.raises(ImproperlyConfigured):
        SwapSettings(paths={prefix: "acme"})


# -- as servers read -----------------------------------------------------------------------------------------------


def decoded(raw):
    """uvicorn, gunicorn: one decoding."""
    return unquote(raw)


def twice_decoded(raw):
    """A proxy that decodes, in front of a server that does."""
    return unquote(unquote(raw))


def nginx(raw):
    """Merges slashes and resolves dot segments after the decoding."""
    return posixpath.normpath("/" + unquote(raw).lstrip("/"))


def express(raw):
    """Ignores case, and slashes at the end."""
    return unquote(raw).lower().rstrip("/")


def tomcat(raw):
    """Drops parameters before the decoding, then resolves dot segments."""
    return posixpath.normpath("/" + unquote(re.sub(";[^/]*", "", raw)).lstrip("/"))


def iis(raw):
    """Takes backslashes for slashes, ignores case, and drops dots and blanks at the end of segments."""
    path = nginx(unquote(raw).replace("\\", "/")).lower()
    return "/".join(segment.rstrip(". ") for segment in path.split("/"))


SERVERS = (decoded, twice_decoded, nginx, express, tomcat, iis)


async def _seen(request):
    return PlainTextResponse(request.scope["path"])


#: A real router, which the swap protects.
STARLETTE = Starlette(routes=[Mount("/tools", routes=[Route("/{rest:path}", _seen)]), Route("/tools", _seen)])

SLASHES = ["/", "//", "\\", "%2f", "%5c", "%252f"]
NAMES = ["tools", "TOOLS", "%74ools", "t", "ools", "special", "x", "é", "%c3%a9", "ſ"]
ODDITIES = [
    ".",
    "..",
    "%2e",
    "%2E%2e",
    "%252e%252e",
    ";",
    ";a=b",
    "..;",
    "%3b",
    "%20",
    "%00",
    "%09",
    "%",
    "%ff",
]
PIECES = st.sampled_from([*SLASHES, *NAMES, *ODDITIES])
RAW_PATHS = st.lists(PIECES, max_size=9).map(lambda pieces: "/" + "".join(pieces))


def decision(raw_path, path=None, **more):
    try:
        return provider_for(unquote(raw_path) if path is None else path, SETTINGS, raw_path=raw_path, **more)
    except AmbiguousPath:
        return "refused"


def routed(path):
    """Return the prefix that a server routes *path* by."""
    found = [prefix for prefix in ("/tools", "/tools/special") if f"{path}/".startswith(f"{prefix}/")]
    return {"/tools": "acme", "/tools/special": "other"}[found[-1]] if found else None


@given(RAW_PATHS)
def test_what_any_server_routes_below_a_prefix_gets_the_token_of_that_prefix_or_is_refused(raw_path):
    found = decision(raw_path)
    if found != "refused":
        assert {server.__name__: routed(server(raw_path)) for server in SERVERS} == {
            server.__name__: found for server in SERVERS
        }


@given(st.text(max_size=12), st.sampled_from(["/tools/", "/tools", "/x/../tools/"]))
def test_no_path_is_an_error(text, prefix):
    """I18."""
    for path in (text, prefix + text, text + prefix):
        decision(quote(path), path)


def reach(scope, app=STARLETTE):
    """Send a request through the swap to a real router; return ``swapped``, ``refused`` or the status."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    swap = asgi.UpstreamSwap(app, paths={"/tools/": "acme"}, unswapped="refuse")
    whole = {"type": "http", "method": "GET", "headers": [(b"host", b"auth.example")], "query_string": b""}
    asyncio.run(swap({**whole, **scope}, receive, send))
    return sent[0]["status"]


@settings(deadline=None)
@given(RAW_PATHS)
def test_starlette_never_serves_a_path_of_tools_that_was_not_decided(raw_path):
    """A request without a token: on a path of the tools it gets 401 or 400, and elsewhere Starlette's 404."""
    scope = {"path": unquote(raw_path), "raw_path": raw_path.encode()}
    assert reach(scope) in {400, 401, 404, 307}
    if reach(scope) == 307:
        assert not unquote(raw_path).startswith("/tools")


# -- mounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({"path": "/tools/x", "root_path": ""}, 401),
        ({"path": "/mnt/tools/x", "root_path": "/mnt"}, 401),
        ({"path": "/mnt/tools/x", "root_path": "/mnt/"}, 401),
        # A server that takes the mount off the path itself.
        ({"path": "/tools/x", "root_path": "/mnt"}, 401),
        ({"path": "/mnt", "root_path": "/mnt"}, 404),
        ({"path": "/mnt/other", "root_path": "/mnt"}, 404),
        ({"path": "/mntx/other", "root_path": "/mnt"}, 404),
        # It would be below the prefix for a server that leaves the mount in the path.
        ({"path": "/tools/x", "root_path": "/tools"}, 400),
        ({"path": "/tools/tools/x", "root_path": "/tools"}, 401),
        ({"path": "/mnt/TOOLS/x", "root_path": "/mnt"}, 400),
        ({"path": "/mnt/tools/x", "root_path": "/mnt", "raw_path": b"/mnt/tools/x?a=/.."}, 401),
        ({"path": "/mnt/tools/x", "root_path": "/mnt", "raw_path": b"/tools%2fx"}, 400),
        ({"path": "/tools/x", "root_path": "", "raw_path": None}, 401),
    ],
)
def test_a_mount_is_taken_off_the_path_in_asgi(scope, status):
    assert reach(scope) == status


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"PATH_INFO": "/tools/x"}, "401"),
        ({"PATH_INFO": "/tools/x", "SCRIPT_NAME": "/mnt", "RAW_URI": "/mnt/tools/x?y=//tools"}, "401"),
        ({"PATH_INFO": "/tools/x", "REQUEST_URI": "http://auth.example/tools/x"}, "401"),
        ({"PATH_INFO": "/tools/x", "RAW_URI": "/tools%2Fx"}, "400"),
        ({"PATH_INFO": "/x", "SCRIPT_NAME": "/tools"}, "400"),
        ({"PATH_INFO": "/x", "SCRIPT_NAME": "/mnt"}, "200"),
        ({"PATH_INFO": "/x/..;/tools/y"}, "400"),
        ({"PATH_INFO": "/TOOLS/y"}, "400"),
        ({"PATH_INFO": "/\xff"}, "400"),
        ({"PATH_INFO": ""}, "200"),
    ],
)
def test_a_mount_is_taken_off_the_path_in_wsgi(environ, status):
    told = []

    def tool(environ, start_response):
        start_response("200 OK", [])
        return [b""]

    swap = wsgi.UpstreamSwap(tool, paths={"/tools/": "acme"})
    whole = {
        "REQUEST_METHOD": "GET",
        "SERVER_NAME": "auth.example",
        "SERVER_PORT": "443",
        "wsgi.input": BytesIO(),
    }
    swap({**whole, **environ}, lambda line, headers: told.append(line))
    assert told[0].startswith(status)


# -- browsers ------------------------------------------------------------------------------------------------------

PREFLIGHT = [(b"origin", b"https://app.example"), (b"access-control-request-method", b"POST")]


async def tool_with_cors(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("OPTIONS", PREFLIGHT, 204),
        ("OPTIONS", PREFLIGHT[:1], 401),
        ("OPTIONS", PREFLIGHT[1:], 401),
        ("GET", PREFLIGHT, 401),
        # A browser sends no credential with a preflight.
        ("OPTIONS", [*PREFLIGHT, (b"authorization", b"Bearer unknown")], 401),
    ],
)
@pytest.mark.django_db
def test_a_preflight_is_answered_by_the_tool_server(method, headers, status):
    """Fetch §3.2.2: a preflight carries no credentials, so there is nothing to swap."""
    host = (b"host", b"auth.example")
    scope = {"path": "/tools/x", "method": method, "headers": [host, *headers]}
    assert reach(scope, tool_with_cors) == status


def test_a_preflight_of_an_ambiguous_path_is_refused():
    assert reach({"path": "/TOOLS/x", "method": "OPTIONS", "headers": PREFLIGHT}, tool_with_cors) == 400


def test_a_script_of_a_client_can_read_why_it_was_refused():
    """RFC 6750 §3: without the challenge a client in a browser does not find the authorization server."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/tools/x", "headers": [(b"host", b"auth.example")]}
    asyncio.run(asgi.UpstreamSwap(tool_with_cors, paths={"/tools/": "acme"})(scope, None, send))
    headers = dict(sent[0]["headers"])
    assert headers[b"access-control-allow-origin"] == b"*"
    assert b"WWW-Authenticate" in headers[b"access-control-expose-headers"]
