"""Tables within the table: settings that are dicts with names of their own.

Each is a frozen dataclass. Its fields are rows, so that it can be made from the settings and by hand alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

from . import kinds
from .hierarchy import scope
from .setting import Kind, Refused, raw_settings, read

Unswapped = Literal["refuse", "pass"]
NoncePolicy = Literal["stale", "always"]

#: What a resource server may accept. No HMAC: a key that checks a token could also make one.
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


def row(kind: Kind[Any], text: str, *, default_text: str = "", **default: Any) -> Any:
    """Return a dataclass field that is a row: its kind, and a sentence for the reference page."""
    return field(metadata={"kind": kind, "text": text, "default_text": default_text}, **default)


@dataclass(frozen=True, slots=True)
class Table:
    """Base of the nested tables: reads each field by its kind.

    Raises:
        Refused: A field is not of its kind.
    """

    #: The setting that holds such a dict.
    setting: ClassVar[str]

    def __post_init__(self) -> None:
        for name, kind, default in _rows.get(type(self)) or _find_rows(type(self)):
            value = getattr(self, name)
            if value is not default:
                object.__setattr__(self, name, read(kind, value, self.setting, name))


#: Found once per table, because one is read on each request with a token.
_rows: dict[type[Table], tuple[tuple[str, Kind[Any], object], ...]] = {}


def _find_rows(table: type[Table]) -> tuple[tuple[str, Kind[Any], object], ...]:
    _rows[table] = tuple((row.name, row.metadata["kind"], row.default) for row in fields(table))
    return _rows[table]


AnyTable = TypeVar("AnyTable", bound=Table)


def from_dict(table: type[AnyTable]) -> Callable[[Any], AnyTable]:
    """Return the reader of a dict with the names of *table*."""

    rows = fields(table)
    names = [row.name for row in rows]
    required = [row.name for row in rows if row.default is NO_DEFAULT and row.default_factory is NO_DEFAULT]

    def read_table(value: Any) -> AnyTable:
        given = kinds.mapping(value)
        for name in given:
            if name not in names:
                hint = kinds.nearest(name, names) or f"Its names are {', '.join(names)}."
                raise Refused("holds a name that is not one of its own", hint=hint)
        for name in required:
            if name not in given:
                raise Refused(f'lacks "{name}"')
        try:
            return table(**given)
        except Refused as refused:
            # The path of a table by itself begins with the setting, which the caller adds.
            raise Refused(refused.predicate, refused.path[1:], refused.hint) from refused.__cause__

    return read_table


def tables(words: str, table: type[AnyTable]) -> Kind[tuple[AnyTable, ...]]:
    """A list of such dicts; a refusal names the position."""
    item = Kind("a dict", from_dict(table))

    def read_tables(value: Any) -> tuple[AnyTable, ...]:
        kinds.wanted(kinds.is_a(value, list, tuple))
        return tuple(read(item, one, place) for place, one in enumerate(value))

    return Kind(words, read_tables)


_NAME: Kind[str] = Kind("a text", kinds.text)


@dataclass(frozen=True, slots=True)
class Chain(Table):
    """Providers that an authorization goes through, for one client or whenever a scope is asked for."""

    setting = "CHAINS"

    providers: tuple[str, ...] = row(
        kinds.some(kinds.items("a list of providers, one or more", kinds.text)),
        "Names of providers, in order. The first says who the person is, the others connect accounts.",
    )
    client: str | None = row(
        kinds.optional(_NAME), "The client id whose authorizations go through the chain.", default=None
    )
    scope: str | None = row(
        kinds.optional(Kind("a scope", scope)),
        "The scope that leads through the chain when a client asks for it.",
        default=None,
    )

    def __post_init__(self) -> None:
        Table.__post_init__(self)
        if (self.client is None) == (self.scope is None):
            raise Refused('must have either "client" or "scope"', (self.setting,))


def _prefix(value: Any) -> str:
    """Return a prefix as servers tell paths: decoded, without parameters, dot segments and empty segments."""
    found = kinds.text(value, pattern=r"/[^\x00-\x20%;?#\\]*")
    segments = found.strip("/").split("/")
    kinds.wanted(found == "/" or not {"", ".", ".."} & set(segments))
    return found


@dataclass(frozen=True, slots=True)
class SwapSettings(Table):
    """How ``UpstreamSwap`` treats a request (spec: the upstream token vault, used downstream)."""

    setting = "UPSTREAM_SWAP"

    paths: Mapping[str, str] = row(
        kinds.pairs('a dict of "/prefix/" to a provider', kinds.text, key=_prefix),
        "Path prefix → the provider whose token the tool server behind it gets. A prefix ends at a slash.",
        default_factory=dict,
    )
    header: str = row(
        kinds.matching("the name of a header", r"[A-Za-z0-9-]{1,100}"),
        "The header that takes the upstream token. In `Authorization` it is a bearer. In another header it stands "
        "alone, and the client's `Authorization` is dropped.",
        default="Authorization",
    )
    unswapped: Unswapped = row(  # noqa: RUF009 - row() makes a field of the dataclass.
        kinds.choice("refuse", "pass"),
        "What happens to a request without one of our session's tokens.",
        default="refuse",
    )


def _indicator(value: Any) -> str:
    """Return a resource indicator (RFC 8707 §2)."""
    found = kinds.text(value, pattern=kinds.UNBROKEN)
    _ = urlsplit(found)
    return found


INDICATORS = kinds.items("a list of resource indicators", _indicator)


def _audience(value: Any) -> tuple[str, ...]:
    return (_indicator(value),) if kinds.is_a(value, str) else INDICATORS.read(value)


#: Scopes about the person and the sign-in. No resource needs them, so no client is told to ask for them there.
OF_THE_SIGN_IN = frozenset({"openid", "profile", "email", "offline_access"})


def _scopes_of_resource(value: Any) -> tuple[str, ...]:
    found = kinds.items("", scope).read(value)
    if named := sorted(OF_THE_SIGN_IN.intersection(found)):
        raise Refused(
            f"must not name {named[0]}", hint="It is no scope of a resource. Clients ask for it anyway."
        )
    return found


@dataclass(frozen=True, slots=True)
class ProtectedResource(Table):
    """What the metadata of one resource says beside its address (RFC 9728 §2)."""

    setting = "PROTECTED_RESOURCES"

    scopes: tuple[str, ...] = row(
        Kind("a list of scopes", _scopes_of_resource),
        "`scopes_supported`: the least that a client needs there. An operation that needs more names it in its "
        "challenge. Without, the metadata names none.",
        default=(),
    )
    dpop_bound_access_tokens_required: bool = row(
        kinds.FLAG,
        "Whether it takes tokens that are [bound to a key](concepts/bound-tokens.md) only. Bearers are refused there.",
        default=False,
    )


def _resource_path(value: Any) -> str:
    return kinds.text(value, pattern=r"/[^\x00-\x20]*")


def _protected_resources(value: Any) -> Mapping[str, ProtectedResource]:
    if kinds.is_a(value, list, tuple):
        return {_resource_path(path): ProtectedResource() for path in value}
    resource = Kind("a dict", from_dict(ProtectedResource))
    given = kinds.mapping(value)
    return {_resource_path(path): read(resource, one, path) for path, one in given.items()}


PROTECTED_RESOURCES: Kind[Mapping[str, ProtectedResource]] = Kind(
    'a dict of paths, such as "/mcp", to dicts, or a list of paths', _protected_resources
)

#: One value of ``acr`` (OpenID Connect Core §2). It stands in a list with blanks, and in quotes in a challenge.
ACR_PATTERN = r"[\x21\x23-\x5b\x5d-\x7e]{1,255}"
ACR_VALUE = kinds.matching("an authentication context class", ACR_PATTERN)


def _algorithm(value: Any) -> str:
    found = kinds.text(value)
    kinds.wanted(found in ALGORITHMS)
    return found


@dataclass(frozen=True, slots=True)
class ResourceServerSettings(Table):
    """Whose access tokens a site takes, what for, and as whom (spec: token lifecycle)."""

    setting = "RESOURCE_SERVER"

    issuer: str = row(
        kinds.matching("the URL of the authorization server", kinds.UNBROKEN),
        "The authorization server: exactly the `iss` of its tokens.",
        default_factory=lambda: raw_settings().get("ISSUER"),
        default_text="`ISSUER`",
    )
    audience: tuple[str, ...] = row(
        Kind("a resource indicator or a list of them", _audience),
        "The resource indicators that mean this site (RFC 8707). Required unless the issuer is this site; there, "
        "the default is whatever the requested URL lies below.",
        default=(),
    )
    jwks_uri: str = row(
        kinds.matching("a URL", r"[^\x00-\x20\x7f]*"),
        "Where the issuer's keys are.",
        default="",
        default_text="as the issuer's metadata says",
    )
    algorithms: tuple[str, ...] = row(
        kinds.some(kinds.items(f"a list of some of {', '.join(ALGORITHMS)}", _algorithm)),
        "The accepted signature algorithms.",
        default=ALGORITHMS,
        default_text="all",
    )
    user: Callable[[Any], Any] | None = row(  # noqa: RUF009 - row() makes a field of the dataclass.
        kinds.optional(kinds.CODE),
        "Returns the user of a token, or `None` to refuse it.",
        default=None,
        default_text="the issuer's own user on its own site, a principal elsewhere",
    )


@dataclass(frozen=True, slots=True)
class DpopSettings(Table):
    """When tokens are bound to a key, and when a proof needs a nonce (RFC 9449)."""

    setting = "DPOP"

    required: bool = row(
        kinds.FLAG,
        "Whether every client has to bind its tokens to a key. Without: those that send a proof, or whose metadata has "
        "`dpop_bound_access_tokens`.",
        default=False,
    )
    nonce: NoncePolicy = row(  # noqa: RUF009 - row() makes a field of the dataclass.
        kinds.choice("stale", "always"),
        'Which proofs need a nonce of this site: every one, or with `"stale"` those whose time is more than 300 s off, '
        "so that a client with a wrong clock works.",
        default="stale",
    )


@dataclass(frozen=True, slots=True)
class DeviceFlow(Table):
    """How devices without a browser ask for consent (RFC 8628)."""

    setting = "DEVICE_FLOW"

    strangers: bool = row(
        kinds.FLAG,
        "Whether clients that registered themselves may use it. Their names on the page are a tool of phishers.",
        default=False,
    )
    lifetime: timedelta = row(  # noqa: RUF009 - row() makes a field of the dataclass.
        kinds.duration(at_least=timedelta(minutes=1), at_most=timedelta(hours=24)),
        "How long the codes of a device are good.",
        default=timedelta(minutes=10),
    )
    interval: int = row(
        kinds.integer(at_least=1, at_most=60),
        "Seconds that a device waits between two polls. One that does not wait is slowed down, to 60 s at most.",
        default=5,
    )


def _device_flow(value: Any) -> DeviceFlow | None:
    if value is False:
        return None
    return DeviceFlow() if value is True else from_dict(DeviceFlow)(value)


#: ``None`` where devices are not served.
DEVICE_FLOW: Kind[DeviceFlow | None] = Kind("True, False or a dict", _device_flow)


@dataclass(frozen=True, slots=True)
class SsoDocument(Table):
    """An entry of ``SSO_DOMAINS`` without an issuer: the domain's document names its provider."""

    setting = "SSO_DOMAINS"

    discovery_url: str = row(
        kinds.matching("a URL", r"[^\x00-\x20\x7f]*"),
        "Where the document is.",
        default="",
        default_text="below `/.well-known/` of the domain",
    )
    display_name: str = row(
        kinds.matching("a text of at most 128 characters", r"(?s).{0,128}"),
        "The name that pages show.",
        default="",
        default_text="the domain",
    )


_SSO_DOCUMENT = Kind("a dict", from_dict(SsoDocument))


def sso_document(domain: str, entry: Mapping[str, Any]) -> SsoDocument:
    """Return an entry of ``SSO_DOMAINS`` that has no issuer.

    Raises:
        Refused: A name or value of it is not allowed. Only this domain is affected.
    """
    return read(_SSO_DOCUMENT, entry, SsoDocument.setting, domain)
