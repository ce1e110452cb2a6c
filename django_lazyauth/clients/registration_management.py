"""A client reads, replaces or deletes its own registration (RFC 7592).

Every invalid request gets the same 401 after the same steps, so that a caller learns nothing about other clients.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from django.db import router, transaction
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import (
    InvalidClientMetadata,
    InvalidToken,
    OAuthError,
    RegistrationConflict,
    TemporarilyUnavailable,
)
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.kit.secret_digest import digest_secret, secret_matches
from django_lazyauth.models import ClientRegistration
from django_lazyauth.models.fields import digest
from django_lazyauth.signals import client_deleted, client_updated
from django_lazyauth.toolkit import clients
from django_lazyauth.users.subjects import registered_sector

from .host_clients import update_row
from .metadata import ClientMetadata, ReplacedMetadata, parse_replacement
from .registration import Credentials, client_information, count_registration, metadata_policy
from .store import (
    ClientAttributes,
    ModelRegistrationStore,
    RegisteredClient,
    get_store,
    has_method,
    store_errors,
)
from .succession import next_credentials, recent_credentials

#: Compared with the token of an unknown client. It is as long as a digest, and no token has it.
NO_DIGEST = "0" * 64


@sensitive_variables()
def read(client_id: str, token: str) -> dict[str, Any]:
    """Return the registration (RFC 7592 §2.1). The token stays valid.

    Raises:
        InvalidToken: The token does not manage this client, or there is no such client.
    """
    _, client = _authenticate(client_id, token)
    return client_information(client, Credentials(token))


@sensitive_variables()
def replace(client_id: str, token: str, *, network: str, read_document: Callable[[], Any]) -> dict[str, Any]:
    """Replace the registration and its token (RFC 7592 §2.2). Of two concurrent callers one wins.

    The same request again within the grace gets the same answer: the first answer may have been lost.

    Args:
        network: The network of the request. A new address of keys counts as a registration of it: it is fetched.
        read_document: Returns the parsed body. It is called only after the token was accepted.

    Raises:
        InvalidToken: The token does not manage this client, or not any more.
        TooManyRequests: It names other addresses of keys too often.
        OAuthError: The new metadata cannot be registered.
    """
    store, client, spent = _authenticate_or_spent(client_id, token)
    if not has_method(store, "update_client"):
        raise _refused()
    replacement = parse_replacement(read_document(), metadata_policy())
    _check_claims(client, replacement)
    if spent is not None:
        return _answer_again(client, replacement.metadata, spent)
    if replacement.metadata.members.get("jwks_uri") not in (None, client.metadata.get("jwks_uri")):
        count_registration(network)
    credentials = next_credentials(client.client_id, token)
    if not replacement.metadata.has_secret or client.secret_digest:
        credentials = credentials.without_secret()
    try:
        updated = _update(store, client, replacement.metadata, credentials)
    except (RegistrationConflict, TemporarilyUnavailable) as error:
        # A concurrent request may have been the same one. Or our own COMMIT was not acknowledged (I22).
        again = _succeeded(client_id, token)
        if again is None:
            raise (error if isinstance(error, TemporarilyUnavailable) else _refused()) from None
        answer = _answer_again(again[0], replacement.metadata, again[1])
        if isinstance(error, RegistrationConflict):
            return answer
    else:
        answer = client_information(updated, credentials)
    client_updated.send_robust(sender=ClientRegistration, client_id=client.client_id)
    return answer


@sensitive_variables()
def _update(
    store: Any, client: RegisteredClient, metadata: ClientMetadata, credentials: Credentials
) -> RegisteredClient:
    attrs = ClientAttributes(
        client_id=client.client_id,
        issued_at=client.issued_at,
        metadata=dict(metadata.members),
        secret_digest=_new_secret_digest(metadata, credentials),
        registration_access_token_digest=digest(credentials.token),
    )
    with store_errors():
        updated: RegisteredClient = store.update_client(client, attrs)
    update_row(store, updated)
    return updated


@sensitive_variables()
def _answer_again(
    client: RegisteredClient, metadata: ClientMetadata, credentials: Credentials
) -> dict[str, Any]:
    """Return the answer of a replacement that was made, to the same request.

    Raises:
        InvalidToken: It is another request. Its token is spent.
    """
    if dict(client.metadata) != dict(metadata.members):
        raise _refused()
    is_new_secret = bool(client.secret_digest) and secret_matches(credentials.secret, client.secret_digest)
    return client_information(client, credentials if is_new_secret else credentials.without_secret())


@sensitive_variables()
def _succeeded(client_id: str, token: str) -> tuple[RegisteredClient, Credentials] | None:
    """Return the client and what followed *token*, if it was spent within the grace."""
    try:
        _, client, spent = _authenticate_or_spent(client_id, token)
    except OAuthError:
        return None
    return (client, spent) if spent is not None else None


def _new_secret_digest(metadata: ClientMetadata, credentials: Credentials) -> str | None:
    if credentials.secret:
        return digest_secret(credentials.secret)
    return None if metadata.has_secret else ""


def _check_claims(client: RegisteredClient, replacement: ReplacedMetadata) -> None:
    """Check that id and secret in the body are the client's own (RFC 7592 §2.2), and that it keeps its sector."""
    if replacement.client_id is not None and replacement.client_id != client.client_id:
        raise InvalidClientMetadata("client_id is not the one of this registration.")
    secret = replacement.client_secret
    if secret is not None and not (client.secret_digest and secret_matches(secret, client.secret_digest)):
        raise InvalidClientMetadata("client_secret is not the one of this registration.")
    _check_sector(client, replacement.metadata)


def _check_sector(client: RegisteredClient, metadata: ClientMetadata) -> None:
    """Check that people keep their subject at the client (OpenID Connect Core §8.1).

    Its sessions go on. So it would learn with its next tokens what a host that it names from now on calls its people.
    """
    if lazyauth_settings.subject_type != "pairwise":
        return
    before, after = (
        registered_sector(client.client_id, members.get("redirect_uris", ()), members.get("grant_types", ()))
        for members in (client.metadata, metadata.members)
    )
    if before != after:
        raise InvalidClientMetadata(
            "People have other subjects at other redirect_uris. Register a new client."
        )


@sensitive_variables()
def unregister(client_id: str, token: str) -> None:
    """Delete the client, its tokens, consents and sessions in one transaction (RFC 7592 §2.3).

    Raises:
        InvalidToken: The token does not manage this client, or there is no such client.
    """
    store, client = _authenticate(client_id, token)
    if not has_method(store, "unregister_client"):
        raise _refused()
    try:
        with store_errors():
            _unregister(store, client)
    except RegistrationConflict:
        raise _refused() from None
    client_deleted.send_robust(sender=ClientRegistration, client_id=client_id)


@retries_on_conflict
def _unregister(store: Any, client: RegisteredClient) -> None:
    with transaction.atomic(using=router.db_for_write(ClientRegistration)):
        store.unregister_client(client)
        if not isinstance(store, ModelRegistrationStore) and (row := clients.load_client(client.client_id)):
            clients.delete_clients([row.pk])


def _refused() -> InvalidToken:
    return InvalidToken("The registration access token is not valid for this client.")


@sensitive_variables()
def _authenticate(client_id: str, token: str) -> tuple[Any, RegisteredClient]:
    """Return the store and the client that *token* manages. Every refusal takes the same steps.

    Raises:
        InvalidToken: The client is unknown, disabled, deleted or another one, or has no registration token.
    """
    store, client, spent = _authenticate_or_spent(client_id, token)
    if spent is not None:
        raise _refused()
    return store, client


@sensitive_variables()
def _authenticate_or_spent(client_id: str, token: str) -> tuple[Any, RegisteredClient, Credentials | None]:
    """Return the store, the client, and what followed *token* if a replacement spent it within the grace.

    Raises:
        InvalidToken: As :func:`_authenticate`.
    """
    store = get_store()
    looked_up = client_id if clients.is_client_id(client_id) else "-"
    token = token.encode(errors="replace").decode()
    row = clients.load_client(looked_up)
    with store_errors():
        client = store.get_client(looked_up) if has_method(store, "get_client") else None
        known = _token_digest(store, client)
    matches = hmac.compare_digest(digest(token), known or NO_DIGEST)
    spent = [
        credentials
        for credentials in recent_credentials(looked_up, token)
        if hmac.compare_digest(digest(credentials.token), known or NO_DIGEST)
    ]
    is_known = (matches or spent) and known and (row is None or clients.is_usable(row))
    if client is None or not is_known:
        raise _refused()
    return store, client, None if matches else spent[0]


def _token_digest(store: Any, client: RegisteredClient | None) -> str | None:
    if client is None or not has_method(store, "registration_access_token_digest"):
        return None
    found = store.registration_access_token_digest(client)
    return found if isinstance(found, str) else None
