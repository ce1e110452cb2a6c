"""Sign in once, and keep what came."""

from __future__ import annotations

import base64
import json
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..answers import read_bundle
from ..bundle import Bundle
from ..errors import LoginFailed, NoAnswer, StoreUnavailable, TokenRefused
from ..proof import ProofKey
from ..provider import Provider
from ..record import Account
from ..store import Store
from .device import ask_by_device
from .discovery import Server, discover
from .loopback import Request, ask_by_browser
from .registration import DynamicRegistration


@dataclass(frozen=True, slots=True)
class Prompt:
    """How the person is reached.

    Attributes:
        open_browser: Called with the address to sign in at; by default the browser of this machine.
        tell: Called with what the person has to do; by default it goes to standard error.
        seconds: How long they may take.
    """

    open_browser: Callable[[str], object] = webbrowser.open
    tell: Callable[[str], object] = lambda text: sys.stderr.write(f"{text}\n")
    seconds: float = 300.0


def login(
    url: str,
    store: Store,
    *,
    account: str | None = None,
    client_id: str | None = None,
    registration: DynamicRegistration | None = None,
    scope: str | None = None,
    device: bool = False,
    bound: bool = False,
    prompt: Prompt | None = None,
) -> str:
    """Sign somebody in at the server of *url*, and make them the default account. Return the account's name.

    Args:
        url: A protected resource, such as an MCP server, or the issuer itself.
        store: Where the tokens are kept.
        account: Name of the account; by default what the server says of the person.
        client_id: Of a public client that the server knows. Otherwise *registration* registers one.
        registration: By default under the name of the store.
        scope: By default ``openid profile email offline_access`` as the server has them, and what the resource names.
        device: Show a code for a browser elsewhere (RFC 8628), rather than open one here.
        bound: Bind the tokens to a key (RFC 9449).
        prompt: How the person is reached.

    Raises DiscoveryFailed, LoginFailed, and StoreUnavailable where tokens cannot be kept.
    """
    store.require_place()
    server = discover(url)
    known_as = registration or DynamicRegistration(store.directory, store.service)
    chosen = client_id or known_as.client_id(server, device=device)
    key = ProofKey.generate() if bound else None
    wanted = Request((chosen, None), scope or " ".join(server.scopes) or None, key)
    try:
        answer, bundle = _ask(server, wanted, prompt or Prompt(), device=device)
    except LoginFailed as error:
        if error.reason == "invalid_client" and client_id is None:
            known_as.forget(server, device=device)
        raise
    return _keep(store, account, server, chosen, answer, bundle)


def _ask(
    server: Server, wanted: Request, prompt: Prompt, *, device: bool
) -> tuple[Mapping[str, Any], Bundle]:
    try:
        if device:
            answer, asked_at = ask_by_device(server, wanted, tell=prompt.tell, seconds=prompt.seconds)
        else:
            prompt.tell("Sign in in the browser.")
            answer, asked_at = ask_by_browser(
                server, wanted, open_browser=prompt.open_browser, seconds=prompt.seconds
            )
        return answer, read_bundle(answer, asked_at, key=wanted.key)
    except (TokenRefused, NoAnswer) as error:
        raise LoginFailed(str(error), reason=error.reason) from None


def _keep(
    store: Store, name: str | None, server: Server, client_id: str, answer: Mapping[str, Any], bundle: Bundle
) -> str:
    owner = Account(
        server.issuer, client_id, server.token_endpoint, server.revocation_endpoint, server.resource
    )
    name = name or _name_for(answer, server, owner, store)
    try:
        store.save(name, owner, bundle)
    except StoreUnavailable:
        # A session whose tokens nobody has could not be ended later.
        Provider(owner).revoke(bundle)
        raise
    store.use(name)
    return name


def _name_for(answer: Mapping[str, Any], server: Server, owner: Account, store: Store) -> str:
    """Name the account after the person, and after the host too where the name is taken by tokens for elsewhere."""
    host = urlsplit(server.resource or server.issuer).hostname or "account"
    claims = _claims(answer.get("id_token"))
    said = next((claims[name] for name in ("email", "preferred_username", "sub") if claims.get(name)), None)
    for name in (*([str(said), f"{said} ({host})"] if said else []), host):
        if _is_free(store, name, owner):
            return name
    return f"{host} {int(time.time())}"


def _is_free(store: Store, name: str, owner: Account) -> bool:
    try:
        record = store.record(name)
    except StoreUnavailable:
        return False
    if record is None:
        return True
    return (record.account.issuer, record.account.resource) == (owner.issuer, owner.resource)


def _claims(id_token: object) -> Mapping[str, Any]:
    """Return what an ID token says. It came from the token endpoint itself, and only names a record here."""
    try:
        part = str(id_token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
