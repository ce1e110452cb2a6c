"""One row for each key that an entry of ``LAZYAUTH["PROVIDERS"]`` may have.

The reader, the system check, :class:`ProviderConfig` and ``docs/providers.md`` come from these rows. Entries of
``SSO_DOMAINS`` have the same keys. Neither Django nor the database is used, so that ``settings.py`` may import this.

Not here: the kinds of values (:mod:`.provider_kinds`), and how an entry is read (:mod:`.descriptor`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Final, Literal, TypedDict, get_args

from . import provider_kinds as kinds
from . import rules
from .key_set import KeySet, is_usable
from .people.keys import PEOPLE_KEYS, PeopleConfig
from .presets import PRESETS
from .provider_kinds import REQUIRED, Key, Kind
from .requests import kinds as request_kinds
from .requests.authentication import AuthMethod
from .requests.config import RequestsConfig
from .requests.keys import OF_THE_PERSON, REQUEST_KEYS
from .requests.logout import LOGOUT_KEYS, LogoutConfig
from .rules import parse_path

AnyType = Literal["oidc", "oauth2", "password"]
UserInfo = Literal["auto", "always", "never"]
GrantOf = Literal["shared", "session"]
Revocation = Literal["grant", "token", "none"]

TYPES: Final[tuple[str, ...]] = get_args(AnyType)


def _key_set(value: Any) -> dict[str, Any]:
    """Return the keys of a set that can be used."""
    kinds.wanted(kinds.is_a(value, Mapping) and len(KeySet.from_jwks(value)))
    return {"keys": [dict(member) for member in value["keys"] if is_usable(member)]}


KEY_SET: Final = Kind("a key set with at least one public signature key (RFC 7517 §5)", _key_set)
_RULE: Final = Kind("a [rule](#rules)", rules.reader())
_RULE_OF_ENTRY: Final = Kind("a [rule](#rules) without source", rules.reader(sources=()))

CLAIMS: Final = (
    Key("email", _RULE, "The address, or a list of one.", parse_path("email"), default_text="`email`"),
    Key(
        "email_verified",
        _RULE,
        "Whether the person controls the address. It is read from the document that the address is from.",
        parse_path("email_verified"),
        default_text="`email_verified`",
    ),
    Key("name", _RULE, "The name to show.", parse_path("name"), default_text="`name`"),
)

EMAILS: Final = tuple(
    Key(name, _RULE_OF_ENTRY, text, parse_path(path), default_text=f"`{path}`", types=("oauth2",))
    for name, path, text in (
        ("list", "[*]", "The list."),
        ("address", "email", "The address of an entry."),
        ("verified", "verified", "Whether it is verified."),
        ("primary", "primary", "Whether it is the main one."),
    )
)

KEYS: Final = (
    Key(
        "preset",
        kinds.choice(*sorted(PRESETS)),
        "A well-known provider. The entry lies over the preset: dicts key by key, lists as a whole.",
        default_text="none",
        types=TYPES,
    ),
    Key(
        "type",
        kinds.choice(*TYPES),
        "OpenID Connect, an OAuth 2.0 provider that names people at its userinfo endpoint, or e-mail address and "
        "password.",
        "oidc",
        types=TYPES,
    ),
    Key(
        "class",
        kinds.CLASS,
        "A [provider of your own](concepts/lazy-registration.md#writing-a-provider) in place of `type`. Such an "
        "entry may have any further keys.",
        default_text="none",
        types=TYPES,
    ),
    Key(
        "display_name",
        kinds.shown_text(64),
        "The text of the button. It may be a lazy translation.",
        default_text='the name of the entry; "E-mail and password" of a password provider',
        types=TYPES,
    ),
    Key(
        "logo",
        kinds.STATIC_PATH,
        "The picture on the button, 24 by 24 pixels: a path below `STATIC_URL`.",
        default_text="that of the preset, else none",
        types=TYPES,
    ),
    Key(
        "registration",
        kinds.choice("immediate", "lazy"),
        "When a new user is written.",
        None,
        default_text="`REGISTRATION`",
        types=TYPES,
    ),
    Key("enabled", kinds.FLAG, "Whether people may sign in with it.", True, types=TYPES),
    Key(
        "issuer",
        kinds.ISSUER,
        "Exactly the `iss` of its tokens. Claims may stand in its path, as in `/{tid}/v2.0`. For `oauth2` it is the "
        "`iss` of its authorization responses (RFC 9207), if it has one.",
        default_of={"oidc": REQUIRED},
        default_text="required for `oidc`",
    ),
    Key("client_id", kinds.text(), "Of this site at the provider.", REQUIRED),
    Key(
        "client_secret",
        kinds.text(4096),
        "Of this site at the provider. The check warns 30 days before the end of one that is a JWT (`lazyauth.W016`, "
        "`lazyauth.E021`).",
        default_text="none",
    ),
    Key(
        "private_key",
        request_kinds.private_key(*request_kinds.ASSERTION_ALGORITHMS),
        "In place of a secret (RFC 7523).",
        default_text="none",
    ),
    Key("private_key_id", kinds.text(), "The `kid` that the provider knows the key by.", default_text="none"),
    Key(
        "token_endpoint_auth_method",
        kinds.choice(*get_args(AuthMethod)),
        "How this site authenticates (OpenID Connect Core §9). `auto`: the first of `private_key_jwt`, "
        "`client_secret_basic`, `client_secret_post` and `client_secret_jwt` that the metadata lists and that there is "
        "a key or secret for. Without a list `client_secret_basic` for `oidc`, `client_secret_post` for `oauth2`; if "
        "the answer is `invalid_client`, the other one is tried once, and what worked is kept.",
        "auto",
    ),
    Key(
        "scopes",
        kinds.SCOPES,
        "What is asked for. For `oidc` it must hold `openid`.",
        (),
        {"oidc": ("openid", "profile", "email")},
    ),
    Key(
        "extra_authorize_params",
        request_kinds.parameters(kinds.OWN_PARAMETERS, *OF_THE_PERSON),
        "Added to each authorization request.",
        {},
    ),
    Key(
        "algorithms",
        kinds.ALGORITHM_NAMES,
        "The accepted signature algorithms. The header of a token cannot add one. HS256 and its like are accepted "
        "where they are named, and need a client secret of at least 32, 48 or 64 bytes.",
        kinds.ALGORITHMS,
        default_text="all but HS256, HS384 and HS512",
        types=("oidc",),
    ),
    Key(
        "subject",
        Kind("a [rule](#rules)", rules.reader(check=rules.check_subject)),
        "Who a person is for ever: a text or an integer of at most 255 characters. For `oidc` it is of the "
        "signed ID token.",
        REQUIRED,
        {"oidc": parse_path("sub")},
        "`sub` for `oidc`, required for `oauth2`",
    ),
    Key(
        "claims",
        Kind("a dict", dict),
        "Where the values are.",
        members=CLAIMS,
        default_text="the standard names",
    ),
    Key(
        "states_email_verified",
        kinds.FLAG,
        "Whether its `email_verified` means that the person controls the address.",
        True,
    ),
    Key("truthy", kinds.CONSTANTS, "The values of such a flag that mean yes.", (True, "true")),
    Key(
        "userinfo",
        kinds.choice(*get_args(UserInfo)),
        "Whether the userinfo endpoint is asked for what the ID token does not have. `auto`: if address or name is "
        "missing whose scope was asked for, or what a rule names. A failure refuses a person with `always` only.",
        "auto",
        types=("oidc",),
    ),
    Key(
        "openid_configuration",
        kinds.URL,
        "Its metadata (OpenID Connect Discovery §4).",
        default_text="below the issuer",
        types=("oidc",),
    ),
    Key(
        "authorization_endpoint",
        request_kinds.endpoint(*OF_THE_PERSON),
        "Where people are sent.",
        default_of={"oauth2": REQUIRED},
        default_text="as the metadata says; required for `oauth2`",
    ),
    Key(
        "token_endpoint",
        request_kinds.endpoint("client_id"),
        "Where codes and refresh tokens are redeemed.",
        default_of={"oauth2": REQUIRED},
        default_text="as the metadata says; required for `oauth2`",
    ),
    Key(
        "userinfo_endpoint",
        request_kinds.endpoint("client_id", "access_token", "token:path"),
        "Says who the person of an access token is.",
        default_text="as the metadata says; required for `oauth2`, unless `identity_from` is `token`",
    ),
    Key(
        "jwks_uri",
        kinds.URL,
        "Its key set.",
        default_text="as the metadata says",
        types=("oidc",),
    ),
    Key(
        "jwks",
        KEY_SET,
        "Its key set, in place of `jwks_uri`. It is never fetched, so a new key needs a new value.",
        {},
        default_text="fetched",
        types=("oidc",),
    ),
    Key(
        "ca_file",
        kinds.CA_FILE,
        "Trust anchors for this provider only, beside those of the system: a provider of a company with a certificate "
        "of its own.",
        default_text="none",
    ),
    Key(
        "revocation_endpoint",
        request_kinds.endpoint("client_id", "access_token"),
        "Where tokens are revoked (RFC 7009).",
        default_text="as the metadata says",
    ),
    Key(
        "grant",
        kinds.choice("shared", "session"),
        "`session`: a session never lives on the [grant](concepts/vault.md#sessions-and-grants) of another.",
        "shared",
    ),
    Key(
        "revocation",
        kinds.choice("grant", "token", "none"),
        "What ends there when a refresh token is revoked. `token`: its own family, so each is revoked with its last "
        "session. `grant`: all that the person allowed this site, so it is revoked only when they disconnect. "
        "`none`: nothing is ever revoked.",
        "grant",
    ),
    Key(
        "emails_endpoint",
        request_kinds.endpoint("client_id", "access_token", "token:path"),
        "A list of addresses with `verified` flags, as GitHub's.",
        default_text="none",
        types=("oauth2",),
    ),
    Key(
        "emails",
        Kind("a dict", dict),
        "Where the addresses of that list are.",
        members=EMAILS,
        default_text="GitHub's",
        types=("oauth2",),
    ),
    *PEOPLE_KEYS,
    *REQUEST_KEYS,
    *LOGOUT_KEYS,
)


#: A rule as it is written; :func:`.rules.parse` says which are good.
RuleConfig = str | Sequence["str | Mapping[str, Any]"] | Mapping[str, Any]


class ClaimsConfig(TypedDict, total=False):
    """The value of ``claims``."""

    email: RuleConfig | None
    email_verified: RuleConfig | None
    name: RuleConfig | None


class EmailsConfig(TypedDict, total=False):
    """The value of ``emails``."""

    list: RuleConfig | None
    address: RuleConfig | None
    verified: RuleConfig | None
    primary: RuleConfig | None


# "class" is a keyword of Python.
_Class = TypedDict("_Class", {"class": "str | type[Any] | None"}, total=False)


class ProviderConfig(_Class, PeopleConfig, RequestsConfig, LogoutConfig, total=False):
    """An entry of ``LAZYAUTH["PROVIDERS"]``, for type checkers. ``None`` is as if the key was not there."""

    preset: str | None
    type: AnyType | None
    display_name: Any  # A text, or a lazy translation.
    logo: str | None
    registration: Literal["immediate", "lazy"] | None
    enabled: bool | None
    issuer: str | None
    client_id: str | None
    client_secret: str | None
    private_key: str | None
    private_key_id: str | None
    token_endpoint_auth_method: AuthMethod | None
    scopes: list[str] | tuple[str, ...] | None
    extra_authorize_params: Mapping[str, str | None] | None
    algorithms: list[str] | tuple[str, ...] | None
    subject: RuleConfig | None
    claims: ClaimsConfig | None
    states_email_verified: bool | None
    truthy: Sequence[str | int | bool] | None
    userinfo: UserInfo | None
    openid_configuration: str | None
    authorization_endpoint: str | None
    token_endpoint: str | None
    userinfo_endpoint: str | None
    jwks_uri: str | None
    jwks: Mapping[str, Any] | None
    ca_file: str | PathLike[str] | None
    revocation_endpoint: str | None
    grant: GrantOf | None
    revocation: Revocation | None
    emails_endpoint: str | None
    emails: EmailsConfig | None
