"""Who stands behind an access token: in the Authorization header (RFC 6750 §2.1), or at introspection (RFC 7662).

Each request with a token runs this SELECT. It is compiled once, because Django takes longer to compile the query
than a database takes to answer it. It reads where tokens are written, so that a revocation counts at once (I11).

Not here: tokens in a body or a query, which nothing looks at (RFC 9700 §4.3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import router
from django.db.models import F, Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings, with_contained
from django_lazyauth.kit.text import has_bad_characters
from django_lazyauth.models import PendingAuthorization, TokenFacts
from django_lazyauth.models.fields import bound_digest, digest
from django_lazyauth.models.prepared_select import ASKED_FOR, OR_FOR, PreparedSelect
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.openid.jose import TokenRejected, decode
from django_lazyauth.resource_server.described import requires_dpop
from django_lazyauth.resource_server.proof import Credentials, read_proof, use_once
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.models import AccessToken, get_access_token_model, get_refresh_token_model

from .binding import checksum, checksums, named_actor, named_checksum, named_key, named_session
from .grantee import HOW, Authentication

#: Characters of a token. A JWT of ours is hardly longer than one kilobyte, unless it names many resources.
MAX_TOKEN_LENGTH = 16 * 1024
#: What introspection tells of a token, and what an exchange compares when it writes (``grants/delegation``).
DESCRIBED = (
    *("user_id", "application_id", "expires", "scope", "resource", "created", "token_checksum"),
    "updated",
)
#: What is known of a token beside its row.
_OF_TOKEN = TokenFacts.objects.filter(token_checksum=OuterRef("token_checksum"))
FACTS: Mapping[str, Any] = {"facts_jkt": Subquery(_OF_TOKEN.values("jkt")[:1])}
#: Its session, which hangs on the refresh token, and how its person signed in.
_SESSION = PendingAuthorization.objects.filter(pk=OuterRef("refresh_token__token_family"))
SESSION: Mapping[str, Any] = {
    "session_family": F("refresh_token__token_family"),
    **{f"session_{name}": Subquery(_SESSION.values(name)[:1]) for name in HOW},
}
#: What says whether the client may still do anything. The rest of its registration is not loaded.
USABLE_UNTIL = ("client_id", "disabled_at", "expires_at")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A good access token, and for whom and how far it is good.

    Attributes:
        jkt: Thumbprint of the key that each use is proved with (RFC 9449 §6); empty for a bearer token.
        act: Who acts for the user (RFC 8693 §4.1), where that was asked for; ``None`` in the client's own session.
        noted_session: The session, where it is known already.
        noted_subject: What the token itself calls the user; empty where it was not read, or says nothing.
    """

    access_token: AccessToken
    user: Any
    client: clients.Client
    scopes: frozenset[str]
    jkt: str = ""
    act: Mapping[str, Any] | None = None
    noted_session: UUID | None = None
    noted_subject: str = ""

    @property
    def session_id(self) -> UUID | None:
        """The session that the token belongs to; ``None`` for a client that acts for itself. One query at most."""
        if self.noted_session is not None:
            return self.noted_session
        family: UUID | None = (
            get_refresh_token_model()
            .objects.filter(access_token=self.access_token)
            .values_list("token_family", flat=True)
            .first()
        )
        return family

    def load_authentication(self) -> Authentication:
        """Return how and when the person of the token signed in, as far as it is known. One query, or two."""
        using = router.db_for_write(PendingAuthorization)
        family = get_refresh_token_model().objects.using(using).filter(access_token=self.access_token)
        session = PendingAuthorization.objects.using(using).filter(pk__in=family.values("token_family"))
        found = session.values_list(*HOW).first()
        if found is None:
            # What a token was exchanged for hangs on no refresh token.
            facts = TokenFacts.objects.using(using).filter(token_checksum=self.access_token.token_checksum)
            session = PendingAuthorization.objects.using(using).filter(pk__in=facts.values("session_id"))
            found = session.values_list(*HOW).first()
        return Authentication.of_columns(*(found or ()))

    def allow_scopes(self, scopes: list[str]) -> bool:
        """Say whether the token is good for all of *scopes*. DOT's permission classes call it by this name."""
        return set(scopes) <= with_contained(self.scopes, lazyauth_settings.scope_hierarchy)


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request presents.

    Attributes:
        bearer: ``None`` if the token is unknown, expired or revoked, if its user or client is out of use, if it is for
            another resource (RFC 8707 §2), or if it is bound to another key than the request proves (I24).
        proof: Of its key, used up now; ``None`` for a bearer token.
    """

    bearer: Bearer | None
    proof: Proof | None = None


@sensitive_variables()
def load_presented(http_request: HttpRequest, credentials: Credentials) -> Presented:
    """Return what *credentials* of a request are worth. One query.

    Raises:
        InvalidDpopProof: The token is bound to a key, and no proof comes with it, or a bad or used one.
        UseDpopNonce: The proof needs a nonce.
        TemporarilyUnavailable: The cache cannot say whether the proof was used.
    """
    if credentials.is_dpop:
        return _load_bound(http_request, credentials.token)
    bearer = None if requires_dpop(http_request.path) else find_bearer(credentials.token)
    return Presented(bearer if bearer is not None and _is_for(bearer, http_request) else None)


def _load_bound(http_request: HttpRequest, token: str) -> Presented:
    bearer = find_bound(token)
    if bearer is None:
        return Presented(None)
    proof = read_proof(http_request, token, origin=_origin(http_request))
    if proof.thumbprint != bearer.jkt or not _is_for(bearer, http_request):
        return Presented(None)
    use_once(proof)
    return Presented(bearer, proof)


def _origin(http_request: HttpRequest) -> str:
    """Return the origin by which clients know what they request here (RFC 9449 §4.3): the issuer's, in most sites.

    Where the operator named audiences above the path, ``Host`` says which of them is meant. It names no other.
    """
    host = http_request.get_host()
    for one in lazyauth_settings.resource_server.audience:
        parts = urlsplit(one)
        if parts.netloc == host and f"{http_request.path}/".startswith(f"{parts.path.rstrip('/')}/"):
            return f"{parts.scheme}://{parts.netloc}"
    return lazyauth_settings.issuer_origin


def _is_for(bearer: Bearer, http_request: HttpRequest) -> bool:
    address = http_request.build_absolute_uri(http_request.path).partition("?")[0]
    return bool(bearer.access_token.allows_audience(address))


@sensitive_variables()
def find_bearer(token: str) -> Bearer | None:
    """Return the bearer of *token*, for whichever resource it is. One query.

    ``None`` if the token is unknown, expired or revoked, if it is bound to a key (I24), or if its user or client is out
    of use.
    """
    if not _can_be_token(token):
        return None
    model = get_access_token_model()
    return _bearer_of(_select(model, router.db_for_write(model)).get(digest(token)))


@sensitive_variables()
def find_bound(token: str) -> Bearer | None:
    """Return the same of a token that is bound to a key, which the caller has to see proved. One query.

    ``None`` for a bearer token too: it is no DPoP token (RFC 9449 §7.1).
    """
    if not _can_be_token(token):
        return None
    model = get_access_token_model()
    found = _select_bound(model, router.db_for_write(model)).get_annotated(bound_digest(token))
    if found is None:
        return None
    row, (jkt,) = found
    return _bearer_of(row, jkt or "")


@sensitive_variables()
def find_bearer_beside_client(
    token: str, client_id: str
) -> tuple[Bearer | None, Authentication, clients.Client | None]:
    """Return the bearer of *token*, how its person signed in, and the client *client_id*, which need not be the
    token's. One query for all; an opaque token that is bound or handed on costs up to three more.

    If the client is unknown, no token is looked up. Of the bearer only :data:`DESCRIBED` is loaded, and of its user
    and client the names, and whether they are active. Django loads the rest when it is asked for.
    """
    if not clients.is_client_id(client_id):
        return None, Authentication(), None
    model = get_access_token_model()
    using = router.db_for_write(model)
    claims = _claims_of_ours(token)
    select = _select_described(model, using) if claims is None else _select_names(model, using)
    asked_for = checksums(token) if claims is None else (named_checksum(token, claims),)
    client, row, known = clients.select(using).get_beside(client_id, select, asked_for)
    if row is None:
        return None, Authentication(), client
    if claims is None:
        jkt, session_id, authentication = known[0] or "", known[1], Authentication.of_columns(*known[2:])
    else:
        # The row has the digest of just this text, so it proves what the text says.
        jkt, authentication = named_key(claims), Authentication.of_claims(claims)
    bearer = _bearer_of(row, jkt)
    if bearer is not None and bearer.access_token.token_checksum != checksum(token, jkt):
        # Bound, and nobody knows to what: described as a bearer token, it would be taken for one (I24).
        bearer = None
    if bearer is not None and claims is not None:
        bearer = replace(
            bearer,
            act=named_actor(claims),
            noted_session=named_session(claims),
            noted_subject=str(claims.get("sub") or ""),
        )
    elif bearer is not None:
        bearer = replace(bearer, noted_session=session_id)
        if known[0] is not None:
            bearer, authentication = _as_handed_on(bearer, authentication)
    return bearer, authentication, client


def _as_handed_on(bearer: Bearer, authentication: Authentication) -> tuple[Bearer, Authentication]:
    """Return *bearer* with who acts, if somebody does, and how the person of an exchanged token signed in."""
    using = router.db_for_write(TokenFacts)
    facts = TokenFacts.objects.using(using).filter(token_checksum=bearer.access_token.token_checksum).first()
    if facts is None or facts.act is None:
        return bearer, authentication
    if authentication == Authentication():
        authentication = bearer.load_authentication()
    return replace(bearer, act=facts.act, noted_session=facts.session_id), authentication


def first_session_of(row: AccessToken) -> tuple[UUID, clients.Client] | None:
    """Return the session whose token *row* was exchanged for (RFC 8693), and its client; ``None`` where it was not.

    Two queries.
    """
    using = router.db_for_write(TokenFacts)
    facts = TokenFacts.objects.using(using).filter(token_checksum=row.token_checksum, act__isnull=False)
    session_id = facts.values_list("session_id", flat=True).first()
    model = get_refresh_token_model()
    members = model.objects.using(using).filter(token_family=session_id, token_family__isnull=False)
    member = members.select_related(f"application__{clients.REGISTRATION}").first()
    return member and (member.token_family, member.application)


@sensitive_variables()
def is_our_token(token: str) -> bool:
    """Say whether *token* is one that we issued, good or not, bound or not. One query.

    The row of a JWT is deleted when its session ends. A resource that asks nobody takes it until it expires, so it
    counts as ours as long as it says so.
    """
    return _can_be_token(token) and (
        get_access_token_model().objects.filter(token_checksum__in=checksums(token)).exists()
        or _claims_of_ours(token) is not None
    )


def _claims_of_ours(token: str) -> Mapping[str, Any] | None:
    """Return the claims of a JWT that names our issuer, which nothing proves; ``None`` for any other token."""
    try:
        claims = decode(token).claims
    except TokenRejected:
        return None
    return claims if claims.get("iss") == lazyauth_settings.issuer else None


def _can_be_token(token: str) -> bool:
    return 0 < len(token) <= MAX_TOKEN_LENGTH and not has_bad_characters(token)


def _bearer_of(row: AccessToken | None, jkt: str = "") -> Bearer | None:
    if row is None or not row.is_valid() or not _client_works(row):
        return None
    if row.user is not None and not row.user.is_active:
        return None
    return Bearer(row, row.user, row.application, frozenset(row.scope.split()), jkt)


def _client_works(row: AccessToken) -> bool:
    """Say whether the client of *row* may do anything. A token without a client is DOT's own kind."""
    return row.application is None or clients.is_usable(row.application)


@cache
def _select(model: type[Model], using: str) -> PreparedSelect[Any]:
    return _prepared(model._default_manager.using(using).filter(token_checksum=ASKED_FOR), None, None)


@cache
def _select_bound(model: type[Model], using: str) -> PreparedSelect[Any]:
    rows = model._default_manager.using(using).filter(token_checksum=ASKED_FOR)
    return _prepared(rows.annotate(**FACTS), None, None, annotations=tuple(FACTS))


@cache
def _select_names(model: type[Model], using: str) -> PreparedSelect[Any]:
    """What introspection tells of a JWT beside its claims."""
    rows = model._default_manager.using(using).filter(token_checksum=ASKED_FOR)
    return _prepared(rows, _names_of_user(), ("client_id",), DESCRIBED)


@cache
def _select_described(model: type[Model], using: str) -> PreparedSelect[Any]:
    """All that introspection tells of a token that says nothing itself, whichever kind it is of."""
    rows = model._default_manager.using(using).filter(token_checksum__in=[ASKED_FOR, OR_FOR])
    known = {**FACTS, **SESSION}
    rows = rows.annotate(**known)
    return _prepared(rows, _names_of_user(), ("client_id",), DESCRIBED, annotations=tuple(known))


def _names_of_user() -> tuple[str, str]:
    return get_user_model().USERNAME_FIELD, "is_active"


def _prepared(
    rows: QuerySet[Any],
    of_user: Sequence[str] | None,
    of_client: Sequence[str] | None,
    only: Sequence[str] | None = None,
    *,
    annotations: Sequence[str] = (),
) -> PreparedSelect[Any]:
    registration = f"application__{clients.REGISTRATION}"
    return PreparedSelect(
        rows,
        related={"user": of_user, "application": of_client, registration: USABLE_UNTIL},
        only=only,
        annotations=annotations,
    )
