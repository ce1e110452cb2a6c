"""Everything that differs between two OpenID or OAuth providers, as one frozen value.

A descriptor comes from the settings, or from discovery, which fills the same fields. This module fetches nothing and
uses neither Django nor the database.

Not here: what the provider publishes about itself (:mod:`django_lazyauth.openid.keys`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.text import has_bad_characters

from .presets import PRESETS

ProviderType = Literal["oidc", "oauth2"]
AuthMethod = Literal["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]

#: Every signature algorithm that may be accepted, best known first. No HMAC: its key is the client secret.
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
#: Characters of an issuer and of a subject; also the width of their columns.
IDENTIFIER_LIMIT: Final = 255
#: Characters of a provider's logical name; that of an SSO domain is ``sso:`` and up to 253.
NAME_LIMIT: Final = 64
SSO_PREFIX: Final = "sso:"
SSO_NAME_LIMIT: Final = 257
SCOPE_LIMIT: Final = 32

ENDPOINTS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "revocation_endpoint",
    "emails_endpoint",
)
#: Parameters of an authorization request that no configuration may replace.
OWN_PARAMETERS: Final = frozenset(
    {
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_type",
        "scope",
        "state",
    }
)

#: Of a configured provider, and of an SSO domain's: ``sso:corp.example``. URLs, settings and scopes have the same.
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]*")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class DescriptorError(LazyAuthError):
    """The configuration of a provider cannot be used. ``hint`` names the key and never holds its value."""

    def __init__(self, name: str, hint: str) -> None:
        self.name = name
        self.hint = hint
        super().__init__(f"provider {name!r}: {hint}")


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """The names of the claims that are read. The subject of an OpenID provider is always ``sub``."""

    subject: str = "sub"
    email: str = "email"
    email_verified: str = "email_verified"
    name: str = "name"


@dataclass(frozen=True, slots=True)
class ProviderDescriptor:
    """A provider as data.

    Attributes:
        name: The logical name; identities are stored under it.
        type: ``oidc``, or ``oauth2`` for a provider that identifies people by its userinfo endpoint only.
        issuer: Compared exactly; ``{tid}``-style placeholders are filled from the claims of a token.
        client_id: Of this site at the provider, and the audience of its ID tokens.
        algorithms: The only accepted ones. A token's header cannot add one.
        token_endpoint_auth_method: OpenID Connect Core §9.
        private_key: PEM, for ``private_key_jwt``.
        states_email_verified: Whether its ``email_verified`` means that the person controls the address.
        userinfo: Whether the userinfo endpoint is asked for claims that the ID token does not have.
        extra_authorize_params: Added to each authorization request.
        is_discovered: A stranger chose its addresses, so they are fetched under the strict policy (I14).
        openid_configuration: URL of its metadata, if it is not below the issuer.
        authorization_endpoint: Empty: taken from the metadata, like every other empty endpoint.
        emails_endpoint: A list of addresses with ``verified`` flags (GitHub-style).
    """

    name: str
    type: ProviderType
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    algorithms: tuple[str, ...]
    token_endpoint_auth_method: AuthMethod
    client_secret: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    private_key_id: str = ""
    claims: ClaimNames = ClaimNames()
    states_email_verified: bool = True
    userinfo: bool = False
    extra_authorize_params: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_discovered: bool = False
    openid_configuration: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    revocation_endpoint: str = ""
    emails_endpoint: str = ""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The claims that fill the placeholders of the issuer; empty for a provider with one tenant."""
        return tuple(_PLACEHOLDER.findall(self.issuer))

    @property
    def configuration_url(self) -> str:
        """URL of the metadata document (OpenID Connect Discovery §4)."""
        return self.openid_configuration or self.issuer.rstrip("/") + "/.well-known/openid-configuration"


def with_preset(name: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preset that *mapping* names, overridden by *mapping*.

    Raises:
        DescriptorError: There is no such preset.
    """
    preset = mapping.get("preset")
    if preset is None:
        return dict(mapping)
    if preset not in PRESETS:
        raise DescriptorError(name, f'"preset" must be one of {", ".join(sorted(PRESETS))}')
    return {**PRESETS[preset], **mapping}


def descriptor_from_settings(name: str, mapping: Mapping[str, Any]) -> ProviderDescriptor:
    """Read one entry of ``LAZYAUTH["PROVIDERS"]``.

    Raises:
        DescriptorError: A key is missing, of the wrong type, or unsafe.
    """
    reader = _Reader(name, with_preset(name, mapping))
    limit = SSO_NAME_LIMIT if name.startswith(SSO_PREFIX) else NAME_LIMIT
    if not PROVIDER_NAME.fullmatch(name) or len(name) > limit:
        raise reader.error(f"the name must be lower-case letters, digits and ._:- ({limit} at most)")
    kind = reader.choice("type", get_args(ProviderType), default="oidc")
    endpoints = {endpoint: reader.url(endpoint) for endpoint in ENDPOINTS}
    descriptor = ProviderDescriptor(
        name=name,
        type=kind,
        issuer=reader.issuer(required=kind == "oidc"),
        client_id=reader.text("client_id", required=True),
        scopes=reader.scopes(default=("openid", "profile", "email") if kind == "oidc" else ()),
        algorithms=reader.algorithms(),
        token_endpoint_auth_method=reader.auth_method(),
        client_secret=reader.text("client_secret", limit=4096),
        private_key=reader.text("private_key", limit=16384),
        private_key_id=reader.text("private_key_id"),
        claims=reader.claim_names(kind),
        states_email_verified=reader.flag("states_email_verified", default=True),
        userinfo=reader.flag("userinfo", default=False),
        extra_authorize_params=reader.extra_parameters(),
        is_discovered=False,
        openid_configuration=reader.url("openid_configuration"),
        **endpoints,
    )
    _check_whole(reader, descriptor)
    return descriptor


def _check_whole(reader: _Reader, descriptor: ProviderDescriptor) -> None:
    """Check the combinations of keys."""
    if descriptor.type == "oauth2":
        for endpoint in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint"):
            if not getattr(descriptor, endpoint):
                raise reader.error(f'"{endpoint}" is required for type "oauth2"')
        return
    if "openid" not in descriptor.scopes:
        raise reader.error('"scopes" must hold "openid" (OpenID Connect Core §3.1.2.1)')
    explicit = descriptor.authorization_endpoint and descriptor.token_endpoint and descriptor.jwks_uri
    if descriptor.placeholders and not descriptor.openid_configuration and not explicit:
        raise reader.error('"openid_configuration" is required where "issuer" has placeholders')


class _Reader:
    """Reads keys of one mapping, each with its check; a hint names the key, never the value (I13)."""

    def __init__(self, name: str, mapping: Mapping[str, Any]) -> None:
        self.name = name
        self.mapping = mapping

    def error(self, hint: str) -> DescriptorError:
        return DescriptorError(self.name, hint)

    def text(self, key: str, *, required: bool = False, limit: int = IDENTIFIER_LIMIT) -> str:
        value = self.mapping.get(key, "")
        if value is None:
            value = ""
        if not isinstance(value, str) or len(value) > limit or has_bad_characters(value):
            raise self.error(f'"{key}" must be a string of at most {limit} characters')
        if required and not value:
            raise self.error(f'"{key}" is required')
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.mapping.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f'"{key}" must be True or False')
        return value

    def choice(self, key: str, choices: tuple[Any, ...], *, default: Any) -> Any:
        value = self.mapping.get(key, default)
        if value not in choices:
            raise self.error(f'"{key}" must be one of {", ".join(choices)}')
        return value

    def strings(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.mapping.get(key, default)
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise self.error(f'"{key}" must be a list of strings')
        return tuple(dict.fromkeys(value))

    def url(self, key: str) -> str:
        """Return an absolute http(s) URL. The fetcher allows plain http to loopback only."""
        value = self.text(key, limit=2048)
        if value and not _is_absolute(value):
            raise self.error(f'"{key}" must be an absolute https URL without fragment')
        return value

    def issuer(self, *, required: bool) -> str:
        value = self.text("issuer", required=required)
        plain = _PLACEHOLDER.sub("x", value)
        if value and (not _is_absolute(plain) or "?" in plain or "{" in plain or "}" in plain):
            raise self.error('"issuer" must be an https URL without query and fragment')
        if "{" in urlsplit(value).netloc:
            # A tenant in the host would choose the server whose keys are trusted.
            raise self.error('"issuer" may hold placeholders in its path only')
        return value

    def scopes(self, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.strings("scopes", default)
        if len(value) > SCOPE_LIMIT or not all(_SCOPE_TOKEN.fullmatch(scope) for scope in value):
            raise self.error(f'"scopes" must be at most {SCOPE_LIMIT} scope tokens (RFC 6749 §3.3)')
        return value

    def algorithms(self) -> tuple[str, ...]:
        value = self.strings("algorithms", ALGORITHMS)
        if not value or not set(value) <= set(ALGORITHMS):
            raise self.error(f'"algorithms" must be some of {", ".join(ALGORITHMS)}')
        return value

    def auth_method(self) -> AuthMethod:
        secret, key = bool(self.mapping.get("client_secret")), bool(self.mapping.get("private_key"))
        default = "client_secret_basic" if secret else "private_key_jwt" if key else "none"
        method: AuthMethod = self.choice("token_endpoint_auth_method", get_args(AuthMethod), default=default)
        if method.startswith("client_secret") and not secret:
            raise self.error(f'"client_secret" is required for {method}')
        if method == "private_key_jwt" and not key:
            raise self.error('"private_key" (PEM) is required for private_key_jwt')
        return method

    def claim_names(self, kind: ProviderType) -> ClaimNames:
        value = self.mapping.get("claims", {})
        known = {"subject", "email", "email_verified", "name"}
        if not isinstance(value, Mapping) or not set(value) <= known:
            raise self.error(f'"claims" must be a dict of {", ".join(sorted(known))}')
        if not all(isinstance(claim, str) and claim for claim in value.values()):
            raise self.error('"claims" must map to names of claims')
        if kind == "oidc" and value.get("subject", "sub") != "sub":
            raise self.error('"claims": the subject of an OpenID provider is "sub" (OpenID Connect Core §2)')
        return ClaimNames(**value)

    def extra_parameters(self) -> Mapping[str, str]:
        value = self.mapping.get("extra_authorize_params", {})
        if not isinstance(value, Mapping) or not all(
            isinstance(key, str) and isinstance(item, str) for key, item in value.items()
        ):
            raise self.error('"extra_authorize_params" must be a dict of strings')
        if own := OWN_PARAMETERS & set(value):
            raise self.error(f'"extra_authorize_params" must not hold {", ".join(sorted(own))}')
        return MappingProxyType(dict(value))


def _is_absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (
        parts.scheme in {"https", "http"}
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "#" not in url
        and url.isascii()
        and url.isprintable()
        and " " not in url
    )
