"""``UpstreamSwap`` for ASGI servers: ``application = UpstreamSwap(tool_server, paths={"/tools/": "github"})``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import SwapSettings
from django_lazyauth.upstream.swap import (
    AMBIGUOUS,
    Decision,
    Passed,
    Refused,
    Swap,
    decide,
    is_custom,
    is_ours_to_set,
    is_the_clients,
    provider_for,
)
from django_lazyauth.upstream.swap_paths import AmbiguousPath, below_mount

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Requests that one process decides at the same time. Each may wait at most 10 s for an upstream.
DECISIONS: Final = 32
#: Close code of a refused WebSocket (RFC 6455 §7.4.1). Before the end of the handshake, servers answer 403.
POLICY_VIOLATION: Final = 1008


class UpstreamSwap(Swap):
    """Replace our token in a request by the upstream's; see :mod:`django_lazyauth.upstream.swap`."""

    def __init__(self, app: Any, **settings: Any) -> None:
        super().__init__(app, **settings)
        # A decision queries the database and may wait for an upstream, so it runs in a thread, not in the event loop.
        executor = ThreadPoolExecutor(DECISIONS, thread_name_prefix="upstream-swap")
        self._decide = sync_to_async(decide, thread_sensitive=False, executor=executor)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        settings = self.settings
        try:
            provider = _provider(scope, settings)
        except AmbiguousPath:
            await _refuse(scope, receive, send, AMBIGUOUS)
            return
        if provider is None:
            await self.app(scope, receive, send)
            return
        decision = await self._decide(_request(scope), provider, settings)
        if isinstance(decision, Refused):
            await _refuse(scope, receive, send, decision)
            return
        await self.app({**scope, "headers": self._headers(scope, decision)}, receive, send)

    @sensitive_variables()
    def _headers(self, scope: Scope, decision: Decision) -> list[tuple[bytes, bytes]]:
        settings = self.settings
        if isinstance(decision, Passed) and not is_custom(settings):
            return list(scope["headers"])
        kept = [
            (name, value)
            for name, value in scope["headers"]
            if not is_ours_to_set(name.decode("latin-1"), settings)
            or (isinstance(decision, Passed) and is_the_clients(name.decode("latin-1")))
        ]
        if not isinstance(decision, (Passed, Refused)):
            kept.append((settings.header.lower().encode(), decision.value.encode()))
        return kept


def _provider(scope: Scope, settings: SwapSettings) -> str | None:
    """Return the provider for the path below where the app is mounted.

    Raises:
        AmbiguousPath: See :func:`provider_for`.
    """
    mount, sent = str(scope.get("root_path", "")), scope.get("raw_path")
    raw_path = None if sent is None else bytes(sent).partition(b"?")[0].decode("latin-1")
    return provider_for(below_mount(str(scope["path"]), mount), settings, mount=mount, raw_path=raw_path)


def _request(scope: Scope) -> ASGIRequest:
    """Return the request for Django, without its body. Django's settings decide about host and scheme."""
    schemes = {"ws": "http", "wss": "https"}
    scheme = schemes.get(scope.get("scheme", "http"), scope.get("scheme", "http"))
    return ASGIRequest(
        {**scope, "type": "http", "method": scope.get("method", "GET"), "scheme": scheme}, BytesIO()
    )


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Refused) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused.error})
        return
    headers = [(name.lower().encode(), value.encode()) for name, value in refused.all_headers]
    await send({"type": "http.response.start", "status": refused.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": refused.body})
