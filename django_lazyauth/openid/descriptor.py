"""Everything that differs between two OpenID or OAuth providers, as one frozen value.

A descriptor comes from the settings, or from discovery, which fills the same fields. This module fetches nothing and
uses neither Django nor the database.

Not here: which keys there are (:mod:`.provider_settings`), and what the provider publishes about itself
(:mod:`django_lazyauth.openid.stored_keys`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args

from django_lazyauth.errors import LazyAuthError

from .people.keys import People, people_from
from .presets import LOGOS, PRESETS
from .provider_kinds import PLACEHOLDER, REQUIRED, SECRET_ALGORITHMS, Key, Wrong, is_a
from .provider_settings import KEYS, GrantOf, Revocation, UserInfo
from .requests.authentication import AuthMethod, can_sign
from .requests.keys import Requests, requests_from
from .requests.logout import Logout, logout_from
from .rules import Rule, paths_of

ProviderType = Literal["oidc", "oauth2"]

#: Characters of a provider's logical name; that of an SSO domain is ``sso:`` and up to 253.
NAME_LIMIT: Final = 64
SSO_PREFIX: Final = "sso:"
SSO_NAME_LIMIT: Final = 257

#: Of a configured provider, and of an SSO domain's: ``sso:corp.example``. URLs, settings and scopes have the same.
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]*")
#: Characters of a key that a hint repeats.
_SHOWN_LIMIT: Final = 64
#: Keys that were, and where each is now.
_MOVED: Final[Mapping[tuple[str, ...], str]] = {("claims", "subject"): 'it is now "subject" beside "claims"'}


class DescriptorError(LazyAuthError):
    """The configuration of a provider cannot be used. ``hint`` names the key and never holds its value."""

    def __init__(self, name: str, hint: str) -> None:
        self.name = name
        self.hint = hint
        super().__init__(f"provider {name!r}: {hint}")


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """Where the values of a person are."""

    email: Rule
    email_verified: Rule
    name: Rule


@dataclass(frozen=True, slots=True)
class EmailRules:
    """Where the addresses of a list are, and within one entry the address and its flags."""

    list: Rule
    address: Rule
    verified: Rule
    primary: Rule


@dataclass(frozen=True, slots=True)
class ProviderDescriptor:
    """A provider as data.

    Attributes:
        name: The logical name; identities are stored under it.
        type: ``oidc``, or ``oauth2`` for a provider that identifies people by its userinfo endpoint only.
        issuer: Compared exactly; ``{tid}``-style placeholders are filled from the claims of a token.
        client_id: Of this site at the provider, and the audience of its ID tokens.
        further_scopes: Those of ``scopes`` that are neither of OpenID Connect nor of the preset.
        algorithms: The only accepted ones. A token's header cannot add one.
        token_endpoint_auth_method: OpenID Connect Core §9.
        private_key: PEM, for ``private_key_jwt``.
        subject: Who a person is for ever; of an OpenID provider from the signed token.
        claims: Where address, flag and name are.
        emails: The same for ``emails_endpoint``; of type ``oauth2`` only.
        states_email_verified: Whether its ``email_verified`` means that the person controls the address.
        truthy: The values that say that an address is verified.
        userinfo: Whether the userinfo endpoint is asked for what the ID token does not have.
        extra_authorize_params: Added to each authorization request.
        is_discovered: A stranger chose its addresses, so they are fetched under the strict policy (I14).
        openid_configuration: URL of its metadata, if it is not below the issuer.
        authorization_endpoint: Empty: taken from the metadata, like every other empty endpoint.
        emails_endpoint: A list of addresses with ``verified`` flags (GitHub-style).
        jwks: Its key set, where the operator has it; it is not fetched then.
        ca_file: Path of trust anchors for this provider, beside those of the system.
        grant: Whether sessions share a grant.
        revocation: What ends there with a refresh token that is revoked.
        requests: What our requests to it look like.
        people: Whose tokens and which people this site takes.
        logout: How a sign-out goes on there.
    """

    name: str
    type: ProviderType
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    token_endpoint_auth_method: AuthMethod
    subject: Rule
    claims: ClaimRules
    further_scopes: tuple[str, ...] = ()
    emails: EmailRules | None = None
    algorithms: tuple[str, ...] = ()
    client_secret: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    private_key_id: str = ""
    states_email_verified: bool = True
    truthy: tuple[str | int | bool, ...] = (True, "true")
    userinfo: UserInfo = "auto"
    extra_authorize_params: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_discovered: bool = False
    openid_configuration: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    revocation_endpoint: str = ""
    grant: GrantOf = "shared"
    revocation: Revocation = "grant"
    emails_endpoint: str = ""
    jwks: Mapping[str, Any] = field(default_factory=dict, hash=False)
    ca_file: str = ""
    requests: Requests = field(default_factory=Requests)
    people: People = field(default_factory=People)
    logout: Logout = field(default_factory=Logout)

    @property
    def fetches_keys(self) -> bool:
        """Whether its keys are fetched: the operator did not give them."""
        return not self.jwks

    @property
    def has_secret(self) -> bool:
        """Whether there is a client secret, a configured or a signed one."""
        return bool(self.client_secret or self.requests.signed_secret)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The claims that fill the placeholders of the issuer; empty for a provider with one tenant."""
        return tuple(PLACEHOLDER.findall(self.issuer))

    @property
    def issuers(self) -> tuple[str, ...]:
        """All names of the issuer, the one that identities are kept with first."""
        return (self.issuer, *self.people.issuer_aliases)

    @property
    def configuration_url(self) -> str:
        """URL of the metadata document (OpenID Connect Discovery §4)."""
        return self.openid_configuration or self.issuer.rstrip("/") + "/.well-known/openid-configuration"


def descriptor_from_settings(name: str, mapping: Mapping[str, Any]) -> ProviderDescriptor:
    """Read one entry of ``LAZYAUTH["PROVIDERS"]``.

    Raises:
        DescriptorError: A key is unknown, missing, of the wrong type, or unsafe.
    """
    limit = SSO_NAME_LIMIT if name.startswith(SSO_PREFIX) else NAME_LIMIT
    if not PROVIDER_NAME.fullmatch(name) or len(name) > limit:
        raise DescriptorError(name, f"the name must be lower-case letters, digits and ._:- ({limit} at most)")
    values = read_keys(name, mapping)
    if values["type"] not in _TYPES:
        raise DescriptorError(name, f'"type" must be one of {", ".join(_TYPES)}')
    _check_credentials(name, values)
    values["claims"] = ClaimRules(**values["claims"])
    if "emails" in values:
        values["emails"] = EmailRules(**values["emails"])
    descriptor = ProviderDescriptor(
        name=name,
        further_scopes=_further_scopes(values),
        requests=requests_from(values),
        people=people_from(values),
        logout=logout_from(values),
        **{key: value for key, value in values.items() if key in _FIELDS},
    )
    _check_whole(descriptor)
    return descriptor


def _further_scopes(values: Mapping[str, Any]) -> tuple[str, ...]:
    usual = PRESETS[values["preset"]].entry.get("scopes", ()) if values["preset"] else ()
    return tuple(scope for scope in values["scopes"] if scope not in (*OPENID_SCOPES, *usual))


#: OpenID Connect Core §5.4.
OPENID_SCOPES: Final = ("openid", "profile", "email", "address", "phone")
#: The keys that are fields of a descriptor. The others say how the provider is shown and built.
_FIELDS: Final = frozenset(one.name for one in fields(ProviderDescriptor)) - {
    "name",
    "is_discovered",
    "further_scopes",
    "requests",
    "people",
    "logout",
}
_TYPES: Final = get_args(ProviderType)


def _check_credentials(name: str, values: Mapping[str, Any]) -> None:
    """Refuse a method whose secret or key is not there."""
    method, secret = values["token_endpoint_auth_method"], values["client_secret"]
    if secret and values["signed_secret"]:
        raise DescriptorError(name, '"client_secret" and "signed_secret" exclude each other')
    is_sent = method in ("client_secret_basic", "client_secret_post")
    if method.startswith("client_secret") and not (secret or (is_sent and values["signed_secret"])):
        signed = ' or "signed_secret"' if is_sent else ""
        raise DescriptorError(name, f'"client_secret"{signed} is required for {method}')
    if method == "client_secret_jwt" and not can_sign(secret):
        raise DescriptorError(name, f'"client_secret" is too short for {method} (RFC 7518 §3.2)')
    for algorithm in values.get("algorithms", ()):
        if len(secret.encode()) < SECRET_ALGORITHMS.get(algorithm, 0):
            hint = f'"client_secret" is too short for {algorithm} in "algorithms" (RFC 7518 §3.2)'
            raise DescriptorError(name, hint)
    if method == "private_key_jwt" and not values["private_key"]:
        raise DescriptorError(name, '"private_key" (PEM) is required for private_key_jwt')


def _check_whole(descriptor: ProviderDescriptor) -> None:
    """Check the combinations of keys."""
    if descriptor.type == "oauth2" and descriptor.logout.is_without_endpoint:
        raise DescriptorError(descriptor.name, '"upstream_logout" needs "end_session_endpoint"')
    if complaint := descriptor.requests.complaint():
        raise DescriptorError(descriptor.name, complaint)
    _check_sources(descriptor)
    if descriptor.type == "oauth2":
        if not descriptor.userinfo_endpoint and descriptor.requests.identity_from == "userinfo":
            raise DescriptorError(descriptor.name, '"userinfo_endpoint" is required for type "oauth2"')
        return
    if "openid" not in descriptor.scopes:
        raise DescriptorError(descriptor.name, '"scopes" must hold "openid" (OpenID Connect Core §3.1.2.1)')
    for alias in descriptor.people.issuer_aliases:
        # Without its placeholder an alias would let a token of one tenant name another.
        if set(PLACEHOLDER.findall(alias)) != set(descriptor.placeholders):
            raise DescriptorError(descriptor.name, '"issuer_aliases" must have the placeholders of "issuer"')
    if descriptor.people.accounts_of and descriptor.name.startswith(SSO_PREFIX):
        raise DescriptorError(descriptor.name, '"accounts_of" is not for a domain: its people are its own')
    if descriptor.people.tenants and not descriptor.placeholders:
        raise DescriptorError(descriptor.name, '"tenants" needs a placeholder in "issuer"')
    if descriptor.people.legacy_subjects and descriptor.placeholders and not descriptor.people.tenants:
        # Any tenant could issue a token with an earlier subject of somebody else (I19).
        raise DescriptorError(
            descriptor.name, '"legacy_subjects" needs "tenants" where "issuer" has placeholders'
        )
    explicit = descriptor.authorization_endpoint and descriptor.token_endpoint
    has_all = bool(explicit and (descriptor.jwks_uri or descriptor.jwks))
    if descriptor.placeholders and not descriptor.openid_configuration and not has_all:
        raise DescriptorError(
            descriptor.name, '"openid_configuration" is required where "issuer" has placeholders'
        )


def _check_sources(descriptor: ProviderDescriptor) -> None:
    """Only the signed token names the person of an OpenID provider. What nothing signed says fills no address."""
    answers = ("userinfo", "token") if descriptor.type == "oauth2" else ("id_token", "userinfo", "token")
    documents = answers if descriptor.type == "oauth2" else ("id_token", "userinfo")
    allowed: tuple[tuple[str, Rule, tuple[str, ...]], ...] = (
        ('"subject"', descriptor.subject, answers if descriptor.type == "oauth2" else ("id_token",)),
        ('"claims": "email"', descriptor.claims.email, answers),
        ('"claims": "email_verified"', descriptor.claims.email_verified, answers),
        ('"claims": "name"', descriptor.claims.name, (*answers, "answer")),
        *((f'"{key}"', rule, (*answers, *more)) for key, rule, more in descriptor.people.rules()),
        *(('"legacy_subjects"', rule, documents) for rule in descriptor.people.legacy_subjects),
    )
    for key, rule, sources in allowed:
        for path in paths_of(rule):
            if path.source and path.source not in sources:
                hint = f'{key} cannot be of "{path.source}:" for type "{descriptor.type}"'
                raise DescriptorError(descriptor.name, hint)
            if not descriptor.requests.keeps(path):
                hint = f'{key} reads an "answer:" that "answer_params" does not keep'
                raise DescriptorError(descriptor.name, hint)


# --- Reading ----------------------------------------------------------------------------------------------

_NAMES: Final = frozenset(key.name for key in KEYS)


def with_preset(name: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preset that *mapping* names, with *mapping* laid over it. A key that is ``None`` is left out.

    Raises:
        DescriptorError: There is no such preset.
    """
    given = {key: value for key, value in mapping.items() if value is not None or key not in _NAMES}
    preset = given.get("preset")
    if preset is None:
        return given
    if not is_a(preset, str) or preset not in PRESETS:
        known = f'"preset" must be one of {", ".join(sorted(PRESETS))}'
        raise DescriptorError(name, known + _suggestion(preset, PRESETS))
    return _laid_over({"logo": f"{LOGOS}/{preset}.svg", **PRESETS[preset].entry}, given)


def _laid_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, *upper* before *lower*: mappings key by key, all else as a whole."""
    whole = dict(lower)
    for key, value in upper.items():
        below: Any = whole.get(key)
        if is_a(below, Mapping) and is_a(value, Mapping):
            whole[key] = _laid_over(below, value)
        elif value is not None or key not in lower:
            whole[key] = value
    return whole


def read_keys(name: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return each key of a provider with its value, its own or the default of its type.

    Raises:
        DescriptorError: A key is unknown, missing, of the wrong type, or not for this type of provider.
    """
    whole = with_preset(name, mapping)
    by_name = {key.name: key for key in KEYS}
    try:
        kind = _value(by_name["type"], whole, "")
        usable = [key for key in KEYS if kind in key.types]
        if whole.get("class") is None:
            _refuse_unknown(whole, _NAMES, usable, ())
            for key in whole:
                if kind not in by_name[key].types:
                    raise Wrong(f'"{key}" cannot be used with type "{kind}"')
        return {key.name: _value(key, whole, kind) for key in usable}
    except Wrong as wrong:
        raise DescriptorError(name, wrong.predicate) from None


def _value(key: Key, mapping: Mapping[str, Any], kind: str) -> Any:
    """
    Raises:
        Wrong: With the name of the key.
    """
    value = mapping.get(key.name)
    if key.members and (value is not None or key.default is not None):
        return _members(key, {} if value is None else value, kind)
    default = key.default_for(kind)
    found = default if value is None else _read(key, value)
    if found is REQUIRED or (default is REQUIRED and not found):
        lack = "is empty (is its variable of the environment set?)" if value == "" else "is required"
        raise Wrong(f'"{key.name}" {lack}' + (f' for type "{kind}"' if key.default_of else ""))
    return found


def _read(key: Key, value: Any) -> Any:
    try:
        return key.kind.read(value)
    except Wrong as wrong:
        predicate = wrong.predicate
    except Exception:  # noqa: BLE001 - a value may be an object of the host, which raises what it likes.
        predicate = ""
    raise Wrong(f'"{key.name}" {predicate or "must be " + key.kind.words}')


def _members(key: Key, value: Any, kind: str) -> dict[str, Any]:
    if not is_a(value, Mapping):
        raise Wrong(f'"{key.name}" must be {key.kind.words}')
    names = [member.name for member in key.members]
    _refuse_unknown(value, names, key.members, (key.name,))
    try:
        return {member.name: _value(member, value, kind) for member in key.members}
    except Wrong as wrong:
        raise Wrong(f'"{key.name}": {wrong.predicate}') from None


def _refuse_unknown(
    mapping: Mapping[Any, Any], known: Container[str], usable: Iterable[Key], path: tuple[str, ...]
) -> None:
    for key in mapping:
        if not is_a(key, str):
            hint = "a key that is no text"
        elif key in known:
            continue
        else:
            moved = _MOVED.get((*path, key), "")
            names = [one.name for one in usable]
            hint = f'unknown key "{key[:_SHOWN_LIMIT]}"' + (
                f"; {moved}" if moved else _suggestion(key, names)
            )
        raise Wrong("".join(f'"{step}": ' for step in path) + hint)


def _suggestion(name: object, names: Iterable[str]) -> str:
    """Return the one of *names* that *name* was meant to be, as the end of a hint, or nothing."""
    if not is_a(name, str):
        return ""
    close = get_close_matches(str(name)[:_SHOWN_LIMIT].casefold(), names, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
