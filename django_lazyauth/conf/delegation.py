"""Rows of the table about handing access on: which client may exchange whose token for what (RFC 8693)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import kinds
from .hierarchy import scope
from .nested import INDICATORS, Table, from_dict, row
from .setting import Kind, Refused, Setting, read


@dataclass(frozen=True, slots=True)
class ExchangePolicy(Table):
    """What one client may exchange an access token for (RFC 8693). It is the ceiling of every such token."""

    setting = "TOKEN_EXCHANGE"

    audiences: tuple[str, ...] = row(
        INDICATORS, "The resource indicators that the new token may be for.", default=()
    )
    scopes: tuple[str, ...] = row(
        kinds.items("a list of scopes", scope),
        "The scopes that it may have, of those that the exchanged token has.",
        default=(),
    )
    upstreams: Mapping[str, str] = row(
        kinds.pairs("a dict of providers to scopes", scope),
        "Provider → the scope that the exchanged token needs for `audience=upstream:<provider>`: the answer holds that "
        "provider's own token.",
        default_factory=dict,
    )
    actors: bool = row(
        kinds.FLAG,
        "Whether the client may name somebody else who acts, with an `actor_token` of its own.",
        default=False,
    )
    unbound: bool = row(
        kinds.FLAG,
        "Whether it may exchange a token that is [bound to a key](concepts/bound-tokens.md) for one that is not.",
        default=False,
    )

    def __post_init__(self) -> None:
        Table.__post_init__(self)
        if not (self.audiences or self.upstreams):
            raise Refused('must have "audiences" or "upstreams"', (self.setting,))


@dataclass(frozen=True, slots=True)
class IdJagAudience(Table):
    """What this site says of its people to one other server, as their organisation."""

    setting = "ID_JAG_AUDIENCES"

    clients: Mapping[str, str] = row(
        kinds.pairs("a dict of client ids to client ids", kinds.text),
        "Id of a client here → its id there. A client whose id is the URL of its document has the same.",
    )
    scopes: tuple[str, ...] = row(
        kinds.items("a list of scopes", scope), "The scopes there that clients may have at most."
    )
    resources: tuple[str, ...] = row(INDICATORS, "The resources there that clients may have them for.")
    sso_client: str = row(
        Kind("a client id", kinds.text),
        "Id of the client here by which that server signs people in. It knows them by the `sub` of its ID tokens, so "
        "an assertion has the same. Needed where `SUBJECT_TYPE` is `pairwise`; empty: that of the client that asks.",
        default="",
    )


_AUDIENCE = Kind("a dict", from_dict(IdJagAudience))


def _audiences(value: Any) -> Mapping[str, IdJagAudience]:
    given = kinds.mapping(value)
    return {
        kinds.ISSUER.read(name): read(_AUDIENCE, one, place)
        for place, (name, one) in enumerate(given.items())
    }


_POLICY = Kind("a dict", from_dict(ExchangePolicy))


def _policies(value: Any) -> Mapping[str, ExchangePolicy]:
    given = kinds.mapping(value)
    # By its position: a text in the wrong place may be a secret.
    return {kinds.text(name): read(_POLICY, one, place) for place, (name, one) in enumerate(given.items())}


class DelegationRows:
    """Base of :class:`~django_lazyauth.conf.table.LazyAuthSettings`."""

    sso_id_jag = Setting(
        kinds.optional(Kind("a dict", kinds.mapping)),
        "The key [`id_jag`](providers.md) of every allowed SSO domain: which clients get tokens "
        "[on the word of a domain's provider](concepts/id-jag.md).",
        default=None,
        default_text="none",
    )
    id_jag_audiences: Setting[Mapping[str, IdJagAudience]] = Setting(
        Kind("a dict of issuers to dicts", _audiences),
        "Issuer of another server → what this site, as the organisation of its people, lets clients have there "
        "[without a page](concepts/id-jag.md#as-the-organisation). See below.",
        default={},
    )
    id_jag_policy = Setting(
        kinds.optional(kinds.CODE),
        "A function of user, client, audience, resources and scopes. It returns the scopes that this person may have "
        "there, or raises `AccessDenied` or `InsufficientUserAuthentication`.",
        default=None,
        default_text="all of them",
    )
    token_exchange: Setting[Mapping[str, ExchangePolicy]] = Setting(
        Kind("a dict of client ids to dicts", _policies),
        "Client id → what it may [exchange a person's token](concepts/token-exchange.md) for (RFC 8693). See below.",
        default={},
    )
