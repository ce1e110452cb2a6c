"""Spec 3, used downstream: ``UpstreamSwap`` in front of a tool server, behind a real ASGI and a real WSGI server."""

from __future__ import annotations

import asyncio
import http.client
import json
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from oauth2_provider.models import AccessToken

from django_lazyauth.api import asgi
from django_lazyauth.conf import SwapSettings
from django_lazyauth.models import GrantState, UpstreamToken
from django_lazyauth.upstream.swap import provider_for
from django_lazyauth.upstream.swap_paths import AmbiguousPath
from tests.conftest import register
from tests.support.swap_servers import serving, tool_asgi

pytestmark = pytest.mark.slow

SERVERS = pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
PATHS = {"/tools/": "acme"}


def call(port, path="/tools/notes", headers=()):
    """Send *headers*, repeated ones too; return status, headers, and what reached the tool server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest("POST", path)
        for name, value in [*headers, ("Content-Length", "2")]:
            connection.putheader(name, value)
        connection.endheaders(b"{}")
        response = connection.getresponse()
        return response.status, dict(response.headers), json.loads(response.read())
    finally:
        connection.close()


def seen(body, name):
    return [value for header, value in body["headers"] if header == name]


@SERVERS
@pytest.mark.django_db(transaction=True)
def test_our_token_is_replaced_by_a_fresh_one_of_the_upstream(holder, server):
    with serving(server, paths=PATHS) as port:
        status, _, body = call(port, headers=[("Authorization", holder.bearer)])
        assert (status, seen(body, "authorization")) == (200, [f"Bearer {holder.upstream_token()}"])
        first = holder.upstream_token()
        holder.expire()
        status, _, body = call(port, headers=[("Authorization", holder.bearer)])
        assert seen(body, "authorization") == [f"Bearer {holder.upstream_token()}"] != [f"Bearer {first}"]
        # Elsewhere nothing is touched.
        _, _, body = call(port, "/elsewhere", headers=[("Authorization", holder.bearer)])
        assert seen(body, "authorization") == [holder.bearer]


@SERVERS
@pytest.mark.django_db(transaction=True)
def test_with_a_custom_header_the_clients_own_authorization_never_arrives(holder, server):
    with serving(server, paths=PATHS, header="X-Upstream-Token", unswapped="pass") as port:
        forged = [("X-Upstream-Token", "forged"), ("Authorization", holder.bearer)]
        _, _, body = call(port, headers=forged)
        assert seen(body, "authorization") == []
        assert seen(body, "x-upstream-token") == [holder.upstream_token()]
        # Who passes without a swap cannot pretend that there was one.
        _, _, body = call(port, headers=[("X-Upstream-Token", "forged"), ("Authorization", "Basic eDp5")])
        assert seen(body, "x-upstream-token") == []
        assert seen(body, "authorization") == ["Basic eDp5"]


@SERVERS
@pytest.mark.django_db(transaction=True)
def test_without_a_token_of_a_session_the_request_is_refused(holder, server):
    strangers = [[], [("Authorization", "Basic eDp5")], [("Authorization", "Bearer unknown")]]
    with serving(server, paths=PATHS) as port:
        for headers in strangers:
            status, answered, body = call(port, headers=headers)
            assert (status, body) == (401, {"error": "invalid_token"})
            assert answered.get("WWW-Authenticate", answered.get("www-authenticate")).startswith("Bearer")


@SERVERS
@pytest.mark.django_db(transaction=True)
def test_by_setting_it_passes_untouched_but_never_a_token_of_ours_that_is_over(holder, server):
    strangers = [[], [("Authorization", "Basic eDp5")], [("Authorization", "Bearer unknown")]]
    with serving(server, paths=PATHS, unswapped="pass") as port:
        for headers in strangers:
            status, _, body = call(port, headers=headers)
            assert (status, seen(body, "authorization")) == (200, [value for _, value in headers])
        AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
        assert call(port, headers=[("Authorization", holder.bearer)])[0] == 401


@SERVERS
@pytest.mark.django_db(transaction=True)
def test_a_token_of_ours_does_not_pass_beside_another_credential_or_another_blank(holder, server):
    """Spec 3: a token of ours never passes unswapped, whichever credential the tool server would read."""
    smuggled = [
        [("Authorization", "Basic eDp5"), ("Authorization", holder.bearer)],
        [("Authorization", f"Basic eDp5, {holder.bearer}")],
        [("Authorization", holder.bearer.replace(" ", "\t"))],
        [("Authorization", f"bearer  {holder.access_token}")],
    ]
    with serving(server, paths=PATHS, unswapped="pass") as port:
        for headers in smuggled:
            status, _, body = call(port, headers=headers)
            assert status == 400 or seen(body, "authorization") == [f"Bearer {holder.upstream_token()}"]
        digest = 'Digest username="x", realm="y", uri="/", response="0"'
        _, _, body = call(port, headers=[("Authorization", digest)])
        assert seen(body, "authorization") == [digest]


@SERVERS
@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_swapped_is_refused_also_where_strangers_pass(holder, server):
    ours = [("Authorization", holder.bearer)]
    with serving(server, paths=PATHS, unswapped="pass") as port:
        holder.expire()
        holder.upstream.control(token_answers=["500", "invalid_grant"])
        status, answered, _ = call(port, headers=ours)
        assert status == 503
        assert {name.lower(): value for name, value in answered.items()}["retry-after"] == "5"
        assert call(port, headers=ours)[0] == 401
        holder.rows.update(state=GrantState.LIVE, refresh_token="")
        assert call(port, headers=ours)[0] == 409
        UpstreamToken.objects.all().delete()
        assert call(port, headers=ours)[0] == 403
        # Two headers: which one the tool server would read is anybody's guess.
        assert call(port, headers=[*ours, ("Authorization", "Bearer unknown")])[0] == 400
        # A path that may be read in two ways, and a host that is not ours.
        assert call(port, "/tools/../elsewhere", headers=ours)[0] == 400
        assert call(port, "//tools/x", headers=ours)[0] == 400
        assert call(port, headers=ours, path="/tools/%2e%2e/elsewhere")[0] == 400


@SERVERS
@pytest.mark.django_db(transaction=True)
def test_with_the_storage_down_nothing_passes(holder, server):
    with serving(server, paths=PATHS, unswapped="pass", database="/nowhere/at-all.sqlite3") as port:
        status, answered, body = call(port, headers=[("Authorization", holder.bearer)])
        assert (status, body) == (503, {"error": "temporarily_unavailable"})
        assert {name.lower() for name in answered} >= {"retry-after"}


# -- the decision, without a server ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/tools", "acme"),
        ("/tools/", "acme"),
        ("/tools/a//b", "acme"),
        ("/tools/special/x", "other"),
        ("/toolsmith", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_longest_prefix_that_ends_at_a_slash_counts(path, provider):
    settings = SwapSettings(paths={"/tools/": "acme", "/tools/special": "other"})
    assert provider_for(path, settings) == provider


@pytest.mark.parametrize(
    "path", ["//tools/x", "/./tools/x", "/tools/../x", "/x/../tools/y", "/tools/special/../x"]
)
def test_a_path_that_can_be_read_in_two_ways_is_refused(path):
    with pytest.raises(AmbiguousPath):
        provider_for(path, SwapSettings(paths={"/tools/": "acme", "/tools/special": "other"}))


def test_a_prefix_of_everything():
    assert provider_for("/anything", SwapSettings(paths={"/": "acme"})) == "acme"


@pytest.mark.parametrize(
    "wrong",
    [
        {"paths": {"tools": "acme"}},
        {"paths": {"/x/": ""}},
        {"paths": 7},
        {"header": "X Y"},
        {"unswapped": "drop"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ImproperlyConfigured):
        SwapSettings(**wrong)


def test_settings_come_from_the_site_where_none_are_given(lazyauth):
    lazyauth(UPSTREAM_SWAP={"paths": {"/x/": "acme"}, "unswapped": "pass"})
    swap = asgi.UpstreamSwap(tool_asgi, header="X-Token")
    assert swap.settings == SwapSettings({"/x/": "acme"}, "X-Token", "pass")


def run_websocket(holder, authorization):
    """Open a WebSocket through the swap; return what the tool server saw and what the client was told."""
    arrived, told = [], []

    async def tool(scope, receive, send):
        arrived.append(dict(scope["headers"]))

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        told.append(message)

    scope = {
        "type": "websocket",
        "path": "/tools/live",
        "scheme": "wss",
        "query_string": b"",
        "headers": [(b"host", b"auth.example"), (b"authorization", authorization.encode())],
    }
    asyncio.run(asgi.UpstreamSwap(tool, paths=PATHS)(scope, receive, send))
    return arrived, told


@pytest.mark.django_db(transaction=True)
def test_a_websocket_is_swapped_or_closed_before_its_handshake(holder):
    arrived, told = run_websocket(holder, holder.bearer)
    assert arrived[0][b"authorization"].decode() == f"Bearer {holder.upstream_token()}"
    assert told == []
    arrived, told = run_websocket(holder, "Bearer unknown")
    assert arrived == []
    assert told == [{"type": "websocket.close", "code": 1008, "reason": "invalid_token"}]


@pytest.mark.django_db(transaction=True)
def test_a_token_for_another_resource_is_not_swapped(holder):
    """RFC 8707: the token says where it may be used."""
    AccessToken.objects.update(resource=["https://elsewhere.example/"])
    assert run_websocket(holder, holder.bearer)[0] == []
    AccessToken.objects.update(resource=["https://auth.example/tools/"])
    assert len(run_websocket(holder, holder.bearer)[0]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_client_that_acts_for_itself_has_nothing_to_swap(holder):
    machine = register(client_id="machine")
    AccessToken.objects.update(user=None, application=machine)
    assert run_websocket(holder, holder.bearer)[0] == []
