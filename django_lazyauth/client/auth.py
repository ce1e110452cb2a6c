"""Requests of ``httpx`` with the token of an account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator

import httpx

from .answers import is_safe
from .bundle import Bundle
from .errors import ClientError, RefreshUnavailable
from .provider import Provider
from .refresh import refresh_access_token, renew
from .store import Store


class LazyAuth(httpx.Auth):
    """Adds the access token to requests, refreshes it, and tries once more after a 401.

    Args:
        store: Where the tokens are.
        provider: Their server; by default as the record of the account names it.
        account: Its name; by default the account that is the default at each request.

    A request raises a RefreshError where there is no token. A 401 that no refresh can change is returned.
    """

    # The body is sent again after a 401.
    requires_request_body = True

    def __init__(self, store: Store, provider: Provider | None = None, *, account: str | None = None) -> None:
        self._store = store
        self._provider = provider
        self._account = account

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.read()
        name, bundle = self._begin(request)
        response = yield self._signed(request, bundle)
        if self._wants_nonce(request, response, bundle):
            response = yield self._signed(request, bundle)
        if response.status_code == 401 and (newer := self._after_refusal(name, bundle)) is not None:
            response = yield self._signed(request, newer)
            if self._wants_nonce(request, response, newer):
                yield self._signed(request, newer)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same. Keyring, files and the refresh run in a thread, because they wait."""
        await request.aread()
        name, bundle = await asyncio.to_thread(self._begin, request)
        response = yield self._signed(request, bundle)
        if self._wants_nonce(request, response, bundle):
            response = yield self._signed(request, bundle)
        if response.status_code != 401:
            return
        newer = await asyncio.to_thread(self._after_refusal, name, bundle)
        if newer is not None:
            response = yield self._signed(request, newer)
            if self._wants_nonce(request, response, newer):
                yield self._signed(request, newer)

    def _begin(self, request: httpx.Request) -> tuple[str, Bundle]:
        if not is_safe(str(request.url)):
            raise ClientError("The token would go over the network unencrypted.", reason="insecure_url")
        name = self._store.named(self._account).name
        return name, refresh_access_token(self._store, self._provider, account=name)

    def _after_refusal(self, name: str, refused: Bundle) -> Bundle | None:
        """Return tokens that are newer than those which were refused, if there can be any."""
        kept = self._store.load(name)
        if kept is None or kept.access_token != refused.access_token:
            return kept
        try:
            return renew(self._store, self._provider, name, kept)
        except RefreshUnavailable:
            return None

    def _signed(self, request: httpx.Request, bundle: Bundle) -> httpx.Request:
        request.headers["Authorization"] = f"{bundle.token_type} {bundle.access_token}"
        if bundle.token_type == "DPoP" and bundle.proof_key is not None:
            request.headers["DPoP"] = bundle.proof_key.proof(
                request.method, str(request.url), access_token=bundle.access_token
            )
        return request

    def _wants_nonce(self, request: httpx.Request, response: httpx.Response, bundle: Bundle) -> bool:
        """Learn the nonce of an answer. Say whether the request has to be sent again with it (RFC 9449 §9)."""
        if bundle.proof_key is None:
            return False
        is_new = bundle.proof_key.learn_nonce(str(request.url), response.headers.get("DPoP-Nonce"))
        challenge = response.headers.get("WWW-Authenticate", "")
        return is_new and response.status_code == 401 and "use_dpop_nonce" in challenge
