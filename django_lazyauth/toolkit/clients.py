"""What the flows and pages need to know of an OAuth client, whatever model the host swapped in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeAlias

from django.core.exceptions import ObjectDoesNotExist
from django.db import router
from django.db.models import Model
from django.utils import timezone
from oauth2_provider.models import (
    AbstractApplication,
    get_access_token_model,
    get_application_model,
    get_id_token_model,
    get_refresh_token_model,
)

from django_lazyauth.models import ClientRegistration
from django_lazyauth.models.prepared_select import ASKED_FOR, PreparedSelect

#: A row of the client model in force; DOT publishes no types, and the host may have swapped the model.
Client: TypeAlias = Any


def get_client_model() -> Any:
    """Return the client model in force."""
    return get_application_model()


def token_models() -> list[Any]:
    """Return the models that an exchange writes besides ours."""
    return [
        get_application_model(),
        get_access_token_model(),
        get_refresh_token_model(),
        get_id_token_model(),
    ]


MAX_CLIENT_ID_LENGTH = 255
#: The registration beside a client; selected with it, so that asking for it costs no query.
REGISTRATION = "lazyauth_registration"
#: What says in a registration what the client may do. Django loads the rest when it is asked for.
BOUNDS = ("client_id", "metadata", "disabled_at", "expires_at")


def is_client_id(client_id: Any) -> bool:
    """Say whether a text can be a client id: printable ASCII (RFC 6749 §A.1), which a database can look up."""
    return (
        isinstance(client_id, str)
        and 0 < len(client_id) <= MAX_CLIENT_ID_LENGTH
        and client_id.isascii()
        and client_id.isprintable()
    )


def load_client(client_id: str) -> Client | None:
    """Return the client of this id and its registration, usable or not. One query."""
    if not is_client_id(client_id):
        return None
    return select(router.db_for_read(get_application_model()), None).get(client_id)


def select(using: str, of_registration: Sequence[str] | None = BOUNDS) -> PreparedSelect[Any]:
    """Return the SELECT of a client by client id, with the bounds of its registration; ``None``: with all of it."""
    return _select(get_application_model(), using, of_registration)


@cache
def _select(model: type[Model], using: str, of_registration: Sequence[str] | None) -> PreparedSelect[Any]:
    """Every request to the token endpoint asks it, so it is compiled once."""
    by_client_id = model._default_manager.using(using).filter(client_id=ASKED_FOR)
    return PreparedSelect(by_client_id, related={REGISTRATION: of_registration})


def find_client(client_id: str) -> Client | None:
    """Return the usable client of this id, or ``None``. One query."""
    client = load_client(client_id)
    return client if client is not None and is_usable(client) else None


def registration_of(client: Client) -> ClientRegistration | None:
    """Return what stands beside *client*, if anything. No query where both were loaded together."""
    try:
        registration: ClientRegistration = getattr(client, REGISTRATION)
    except ObjectDoesNotExist:
        return None
    return registration


def is_usable(client: Client) -> bool:
    """Say whether *client* may do anything: the host's own word, and no operator disabled it."""
    return bool(client.is_usable(None)) and not is_inactive(client)


def is_inactive(client: Client) -> bool:
    """Say whether an operator disabled *client*, or nobody used it in time."""
    registration = registration_of(client)
    return registration is not None and registration.is_inactive()


def is_confidential(client: Client) -> bool:
    """Say whether *client* has to prove who it is (RFC 6749 §2.1)."""
    return bool(client.client_type == AbstractApplication.CLIENT_CONFIDENTIAL)


def is_verified(client: Client) -> bool:
    """Say whether an operator stands for who this client is: made it, or looked at it."""
    if not is_self_registered(client):
        return True
    registration = registration_of(client)
    return registration is not None and registration.verified_at is not None


def registered_scopes(client: Client) -> frozenset[str] | None:
    """Return the scopes that *client* registered, which bound all it gets; ``None`` if nothing bounds it."""
    if client is None or not is_self_registered(client):
        return None
    registration = registration_of(client)
    scope = registration.metadata.get("scope") if registration else None
    return frozenset(scope.split()) if isinstance(scope, str) else None


def may_ask_for_codes(client: Client) -> bool:
    """Say whether *client* is one of the authorization code grant (RFC 6749 §4.1.1)."""
    stated = stated_grants(client)
    if stated is not None and (not is_self_registered(client) or "authorization_code" not in stated):
        return "authorization_code" in stated
    return bool(client.allows_grant_type(AbstractApplication.GRANT_AUTHORIZATION_CODE))


def may_refresh(client: Client) -> bool:
    """Say whether *client* registered for refresh tokens; an operator's client may unless its grants say otherwise."""
    stated = stated_grants(client)
    return stated is None or "refresh_token" in stated


def stated_grants(client: Client) -> list[str] | None:
    """Return the grants that stand beside *client*: what it registered, or what an operator listed.

    ``None`` where nothing bounds DOT's column. Of a client that registered itself the column bounds the list too: it
    never has more grants than any stranger may have.
    """
    registration = registration_of(client)
    grants = registration.metadata.get("grant_types") if registration else None
    if not isinstance(grants, list):
        return None
    # An operator's empty list is no list.
    return grants if grants or is_self_registered(client) else None


#: The grant of devices without a browser (RFC 8628 §3.4).
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"

#: Grant → the values of DOT's ``authorization_grant_type`` that allow it. Each client has one.
_GRANTS = {
    "authorization_code": (
        AbstractApplication.GRANT_AUTHORIZATION_CODE,
        AbstractApplication.GRANT_OPENID_HYBRID,
    ),
    "client_credentials": (AbstractApplication.GRANT_CLIENT_CREDENTIALS,),
    DEVICE_CODE: (AbstractApplication.GRANT_DEVICE_CODE,),
    "refresh_token": (
        AbstractApplication.GRANT_AUTHORIZATION_CODE,
        AbstractApplication.GRANT_DEVICE_CODE,
        AbstractApplication.GRANT_PASSWORD,
        AbstractApplication.GRANT_CLIENT_CREDENTIALS,
        AbstractApplication.GRANT_OPENID_HYBRID,
    ),
}


#: Grants that an operator may list beside a client.
OPERATORS_GRANTS = tuple(_GRANTS)


def may_use_grant(client: Client, grant_type: str) -> bool:
    """Say whether *client* may redeem grants of this type (RFC 6749 §5.2, ``unauthorized_client``).

    The account page's own client may not: it holds no tokens, for nobody was asked for consent.
    """
    if client.client_id == ACCOUNT_CLIENT_ID:
        return False
    stated = stated_grants(client)
    if stated is not None and grant_type not in stated:
        return False
    # A client that registered itself has the column of codes, whatever it registered for.
    if stated is not None and (grant_type == DEVICE_CODE or not is_self_registered(client)):
        return True
    return bool(client.allows_grant_type(*_GRANTS.get(grant_type, ())))


def id_token_algorithm(client: Client) -> str:
    """Return what *client* registered as ``id_token_signed_response_alg``; empty if it does not care.

    An operator's client has DOT's column for it. Whether we have such a key, the signer sees.
    """
    if not is_self_registered(client):
        return str(client.algorithm)
    registration = registration_of(client)
    algorithm = registration.metadata.get("id_token_signed_response_alg") if registration else None
    return algorithm if isinstance(algorithm, str) else str(client.algorithm)


def backchannel_logout_uri(client: Client) -> str:
    """Return the URI for logout tokens of *client*; empty where it registered none (Back-Channel Logout §2.2)."""
    registration = registration_of(client)
    uri = registration.metadata.get("backchannel_logout_uri") if registration else None
    return uri if isinstance(uri, str) else ""


def is_self_registered(client: Client) -> bool:
    """Say whether a stranger brought this client (RFC 7591 or a metadata document), not an operator."""
    return bool(client.registration_source != AbstractApplication.RegistrationSource.MANUAL)


def is_of_document(client: Client) -> bool:
    """Say whether *client* is one whose id is the URL of its metadata document."""
    return bool(client.registration_source == AbstractApplication.RegistrationSource.CIMD)


def may_skip_consent(client: Client) -> bool:
    """Say whether the operator waived consent; never for a client that registered itself (I8)."""
    return bool(client.skip_authorization) and not is_self_registered(client)


#: Members of the metadata that a person relies on, in every language.
SHOWN_TO_PEOPLE = ("client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "scope")


def metadata_digest(client: Client) -> str:
    """Return the digest of what the client says about itself to people; consent is asked anew when it changes.

    That is its name, redirect URIs, links and scope. Keys, grants, and whether it proves itself with a key may change
    without a question.
    """
    kind = client.client_type
    if is_self_registered(client) and not client.client_secret:
        kind = AbstractApplication.CLIENT_PUBLIC
    said: list[Any] = [client.name, sorted(client.redirect_uris.split()), kind]
    registration = registration_of(client) if is_self_registered(client) else None
    if registration is not None:
        metadata = registration.metadata
        shown = {name: metadata[name] for name in metadata if name.partition("#")[0] in SHOWN_TO_PEOPLE}
        if shown:
            # An empty one was written to note something else, such as that the client is used.
            said.append(shown)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


# -- rows of clients that registered themselves ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientFields:
    """What django-oauth-toolkit keeps of a registered client.

    Attributes:
        secret_digest: Of :func:`~django_lazyauth.clients.secrets.digest_secret`; empty for a public client,
            ``None`` to leave what is there.
    """

    name: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    is_public: bool
    secret_digest: str | None = field(repr=False)

    def as_columns(self) -> dict[str, Any]:
        columns = {
            "name": self.name,
            "redirect_uris": " ".join(self.redirect_uris),
            "post_logout_redirect_uris": " ".join(self.post_logout_redirect_uris),
            "client_type": AbstractApplication.CLIENT_PUBLIC
            if self.is_public
            else AbstractApplication.CLIENT_CONFIDENTIAL,
        }
        if self.secret_digest is not None:
            # Not hashed by DOT: that would stretch a secret that nobody can guess.
            columns |= {"client_secret": self.secret_digest, "hash_client_secret": False}
        return columns


def add_client(client_id: str, fields: ClientFields) -> Client:
    """Write and return the row of a client that registered itself, in the caller's transaction."""
    client = get_application_model()(
        client_id=client_id,
        authorization_grant_type=AbstractApplication.GRANT_AUTHORIZATION_CODE,
        registration_source=AbstractApplication.RegistrationSource.DCR,
        **fields.as_columns(),
    )
    client.save(force_insert=True)
    return client


def keep_document_client(client_id: str, fields: ClientFields, *, fresh_until: datetime) -> Client | None:
    """Write the row of a client that its metadata document describes, in the caller's transaction.

    ``None`` if an operator's or a registered client has this id: no document takes it over.
    """
    model = get_application_model()
    of_document = AbstractApplication.RegistrationSource.CIMD
    known = model.objects.filter(client_id=client_id).first()
    if known is None:
        client = model(
            client_id=client_id,
            authorization_grant_type=AbstractApplication.GRANT_AUTHORIZATION_CODE,
            registration_source=of_document,
            cimd_expires_at=fresh_until,
            **fields.as_columns(),
        )
        client.save(force_insert=True)
        return client
    if known.registration_source != of_document:
        return None
    model.objects.filter(pk=known.pk).update(
        **fields.as_columns(), cimd_expires_at=fresh_until, updated=timezone.now()
    )
    return load_client(client_id)


#: Our own account page, as a client of ours: so that people sign in for it as for any other.
ACCOUNT_CLIENT_ID = "lazyauth-account"


def account_client(*, name: str, redirect_uri: str) -> Client:
    """Return the client that the account page is, made on first use and kept at its present address.

    A code for it goes to our own page, which redeems none: there is no consent to ask for.
    """
    model = get_application_model()
    client, _created = model.objects.get_or_create(
        client_id=ACCOUNT_CLIENT_ID,
        defaults={
            "name": name,
            "client_type": AbstractApplication.CLIENT_PUBLIC,
            "authorization_grant_type": AbstractApplication.GRANT_AUTHORIZATION_CODE,
            "redirect_uris": redirect_uri,
            "skip_authorization": True,
            "client_secret": "",
            "hash_client_secret": False,
        },
    )
    if client.redirect_uris != redirect_uri:
        client.redirect_uris = redirect_uri
        client.save(update_fields=["redirect_uris"])
    return client


def app_client(client_id: str, *, name: str, make: bool) -> Client | None:
    """Return the client row that represents a part of this site, such as the migration. *make* creates it.

    It has no redirect URI and no secret, so it can neither start a sign-in nor get a token.
    """
    clients = get_application_model().objects
    if not make:
        return clients.filter(client_id=client_id).first()
    return clients.get_or_create(
        client_id=client_id,
        defaults={
            "name": name,
            "client_type": AbstractApplication.CLIENT_PUBLIC,
            "authorization_grant_type": AbstractApplication.GRANT_AUTHORIZATION_CODE,
            "registration_source": AbstractApplication.RegistrationSource.MANUAL,
            "client_secret": "",
            "hash_client_secret": False,
        },
    )[0]


def replace_client(pk: Any, fields: ClientFields) -> None:
    """Replace what the client's row says, in the caller's transaction."""
    get_application_model().objects.filter(pk=pk).update(**fields.as_columns(), updated=timezone.now())


def set_secret_digest(pk: Any, secret_digest: str) -> None:
    """Keep *secret_digest* as that of the client's secret (:func:`django_lazyauth.clients.secrets.digest_secret`)."""
    columns = {"client_secret": secret_digest, "hash_client_secret": False, "updated": timezone.now()}
    get_application_model().objects.filter(pk=pk).update(**columns)


def delete_clients(pks: Iterable[Any]) -> int:
    """Delete clients with their tokens, consents, pending authorizations and upstream tokens.

    In the caller's transaction; returns how many clients went.
    """
    model = get_application_model()
    _, by_model = model.objects.filter(pk__in=list(pks)).delete()
    return int(by_model.get(model._meta.label, 0))
