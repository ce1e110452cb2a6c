"""Checks that several grants share: the client, and the resources that it asks for.

Not here: how a client proves itself (``clients/authenticate.py``).
"""

from __future__ import annotations

from django_lazyauth.clients import document, host_clients
from django_lazyauth.clients.authenticate import authenticate, authenticate_by_key, prove
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidClient, InvalidTarget, UnauthorizedClient
from django_lazyauth.kit.network import network_of
from django_lazyauth.openid.resource_indicators import (
    audience_of,
    fault_of_resources,
    lies_below,
    named_of,
    same_resource,
)
from django_lazyauth.tokens.bearer import Bearer
from django_lazyauth.toolkit import clients

from .contract import Form, Prepared


def authenticated_client(
    form: Form, prepared: Prepared, grant_type: str, known: clients.Client | None = None
) -> clients.Client:
    """Return the client of *form*, which may use this grant (RFC 6749 §3.2.1).

    Args:
        known: The client that the presented code or token belongs to. If *form* names it, no query is made.

    Raises:
        InvalidClient: It is unknown, disabled, or failed to authenticate.
        UnauthorizedClient: It may not use this grant.
    """
    return _may_use(authenticate(form.credentials, known, by_key=prepared.by_key), grant_type)


def introduce(form: Form) -> str:
    """Write or renew the row of a client that this site may not know yet. No transaction may be open.

    Return what its document lacks, if anything.

    Raises:
        TemporarilyUnavailable: Its document cannot be read now.
    """
    http_request, named = form.http_request, form.credentials.named
    reason = document.look_up(named, http_request, network=network_of(http_request))
    host_clients.write_row(named)
    return reason or ""


def introduced_client(form: Form) -> clients.Client:
    """Return the client of *form* at an endpoint that may be the first to hear of it. No transaction may be open.

    Raises:
        InvalidClient: It is unknown, disabled, or failed to authenticate. The error says what its document lacks.
        TemporarilyUnavailable: Its document or its keys cannot be read now.
    """
    reason = introduce(form)
    try:
        return authenticate(form.credentials, by_key=authenticate_by_key(form.credentials))
    except InvalidClient as error:
        if reason:
            raise InvalidClient(reason, debug=error.debug) from None
        raise


def proved_client(form: Form, prepared: Prepared, grant_type: str) -> clients.Client:
    """Return the client of *form*, which has proved who it is, and may use this grant.

    Raises:
        InvalidClient: It is unknown, disabled, or failed to authenticate.
        UnauthorizedClient: It may not use this grant.
    """
    return _may_use(prove(form.credentials, by_key=prepared.by_key), grant_type)


def _may_use(client: clients.Client, grant_type: str) -> clients.Client:
    if not clients.may_use_grant(client, grant_type):
        raise UnauthorizedClient
    return client


def is_meant_for(client: clients.Client, bearer: Bearer) -> bool:
    """Say whether a token is the client's own, or is for a resource that the settings give to the client."""
    if bearer.access_token.application_id == client.pk:
        return True
    resources = lazyauth_settings.introspection_clients.get(client.client_id, ())
    audience = audience_of(bearer.access_token.resource)
    return any(same_resource(one, resource) for one in audience for resource in resources)


def requested_resources(form: Form) -> tuple[str, ...]:
    """Return the resources that *form* names, each once (RFC 8707 §2).

    Raises:
        InvalidTarget: One cannot be a resource indicator, or there are too many.
    """
    check_resources(form.resources)
    return tuple(dict.fromkeys(form.resources))


def chosen_resources(form: Form, granted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the audience of one access token: what *form* names of *granted*, else all of it (RFC 8707 §2.2, I20).

    A session that named no resource is for this site. Its tokens may name a part of it.

    Raises:
        InvalidTarget: A resource is not part of the grant, or cannot be a resource indicator.
    """
    asked = requested_resources(form)
    if granted:
        chosen = named_of(asked, granted)
    else:
        here = lazyauth_settings.issuer_origin
        chosen = asked if all(lies_below(resource, here) for resource in asked) else None
    if chosen is None:
        raise InvalidTarget("A resource was not part of the authorization request.")
    if not asked:
        check_resources(granted)
    return chosen or granted


def check_resources(resources: tuple[str, ...]) -> None:
    """Check *resources* that are about to stand in a token.

    Raises:
        InvalidTarget: One cannot be a resource indicator, or there are too many.
    """
    if fault := fault_of_resources(resources):
        raise InvalidTarget(fault)
