"""Checks that several grants share: the client, and the resources that it asks for.

Not here: how a client proves itself (``clients/authenticate.py``).
"""

from __future__ import annotations

from django_lazyauth.clients.authenticate import authenticate, prove
from django_lazyauth.errors import InvalidTarget, UnauthorizedClient
from django_lazyauth.openid.resource_indicators import are_sound_resources
from django_lazyauth.toolkit import clients

from .contract import Form


def authenticated_client(form: Form, grant_type: str, known: clients.Client | None = None) -> clients.Client:
    """Return the client of *form*, which may use this grant (RFC 6749 §3.2.1).

    Args:
        known: The client that the presented code or token belongs to. If *form* names it, no query is made.

    Raises:
        InvalidClient: It is unknown, disabled, or failed to authenticate.
        UnauthorizedClient: It may not use this grant.
    """
    return _may_use(authenticate(form.credentials, known), grant_type)


def proved_client(form: Form, grant_type: str) -> clients.Client:
    """Return the client of *form*, which has proved with its secret who it is, and may use this grant.

    Raises:
        InvalidClient: It is unknown, disabled, or failed to authenticate.
        UnauthorizedClient: It may not use this grant.
    """
    return _may_use(prove(form.credentials), grant_type)


def _may_use(client: clients.Client, grant_type: str) -> clients.Client:
    if not clients.may_use_grant(client, grant_type):
        raise UnauthorizedClient
    return client


def requested_resources(form: Form) -> tuple[str, ...]:
    """Return the resources that *form* names, each once (RFC 8707 §2).

    Raises:
        InvalidTarget: One cannot be a resource indicator, or there are too many.
    """
    check_resources(form.resources)
    return tuple(dict.fromkeys(form.resources))


def check_resources(resources: tuple[str, ...]) -> None:
    """Check *resources* that are about to stand in a token.

    Raises:
        InvalidTarget: One cannot be a resource indicator, or there are too many.
    """
    if not are_sound_resources(resources):
        raise InvalidTarget("A resource must be an absolute URI with a host, and there may be ten.")
