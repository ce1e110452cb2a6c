"""The rows of the keys that say what our requests to a provider look like, and the value that is made of them.

Not here: the other keys (:mod:`django_lazyauth.openid.provider_settings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

from django_lazyauth.openid.provider_kinds import OWN_PARAMETERS, REQUIRED, SCOPES, Key, Kind, choice, text
from django_lazyauth.openid.rules import Path, parse_path

from . import kinds
from .context_classes import ACR_KEYS
from .fill import NAMES
from .revocation import REVOCATION_KEYS, RevocationRequest

Pkce = Literal["S256", "none"]
Nonce = Literal["required", "optional", "none"]
Offline = Literal["auto", "always", "never"]
OfflinePrompt = Literal["once", "always"]

#: What a client may wish of the upstream. ``none`` is asked of nobody.
PROMPTS: Final = ("login", "select_account", "create")
#: What this site may wish: the upstream asks for consent, although it was given.
CONSENT: Final = "consent"
#: Placeholders of a request that a browser of the person takes part in.
OF_THE_PERSON: Final = ("client_id", "redirect_uri", "state")

AUTHORIZE_KEYS: Final = (
    Key("scope_separator", kinds.SEPARATOR, "What stands between two scopes of a request.", " "),
    Key("scope_parameter", kinds.PARAMETER, "The parameter that holds the scopes.", "scope"),
    Key(
        "prompt_params",
        Kind("a dict", dict),
        "What each wish becomes in the request. An empty dict: it is not sent. `consent` is a wish of this site, for "
        "[refresh tokens](#refresh-tokens), and never one of a client.",
        default_text="`prompt` with the same word",
        members=tuple(
            Key(
                name,
                kinds.parameters(),
                f"In place of `prompt={name}`.",
                None,
                default_text=f'`{{"prompt": "{name}"}}`',
            )
            for name in (*PROMPTS, CONSENT)
        ),
    ),
    Key(
        "pkce",
        choice("S256", "none"),
        "`none` for a provider that refuses a `code_verifier` (RFC 7636).",
        "S256",
    ),
    Key(
        "nonce",
        choice("required", "optional", "none"),
        "Whether the ID token must hold the `nonce` of the request. `optional`: it is checked if it is there. "
        "`none`: it is not sent. Without PKCE and nonce a stolen code is not noticed (`lazyauth.W015`).",
        "required",
        types=("oidc",),
    ),
    Key(
        "claims_parameter",
        kinds.JSON,
        "The parameter `claims` (OpenID Connect Core §5.5).",
        types=("oidc",),
    ),
    Key(
        "response_mode",
        choice("form_post"),
        "How the answer comes: as a `POST` (OAuth 2.0 Form Post Response Mode).",
        default_text="in the address",
    ),
    Key(
        "answer_params",
        kinds.ANSWER_PARAMS,
        "Further parameters of the authorization response that are kept, of at most 2 KiB each, such as "
        '`{"user": "json"}`. They are not signed, so the `answer:` of a rule fills a name only.',
        {},
    ),
    Key("authorize_fragment", kinds.FRAGMENT, "Stands behind `#` of the authorization request."),
    Key(
        "client_id_parameter",
        kinds.parameter_for("client_id"),
        "The parameter that holds the client id, in every request.",
        "client_id",
    ),
)

TOKEN_KEYS: Final = (
    Key(
        "signed_secret",
        Kind("a dict", dict),
        "In place of `client_secret`: this site signs one, a JWT whose `sub` is the client id. It is replaced 60 "
        "seconds before its end.",
        None,
        default_text="none",
        members=(
            Key("key", kinds.private_key(*kinds.SECRET_ALGORITHMS), "Signs with ES256.", REQUIRED),
            Key("key_id", text(), "The `kid` that the provider knows the key by.", REQUIRED),
            Key("issuer", text(), "The `iss`, such as Apple's team id.", REQUIRED),
            Key("audience", text(), "The `aud`.", default_text="the `issuer` of the provider"),
            Key("lifetime", kinds.LIFETIME, "In seconds.", 300),
        ),
    ),
    Key(
        "client_secret_parameter",
        kinds.parameter_for("client_secret"),
        "The parameter that holds the secret, with `client_secret_post`.",
        "client_secret",
    ),
    Key(
        "basic_encoding",
        choice("form", "raw"),
        "`raw` for a server that does not decode client id and secret as RFC 6749 §2.3.1 says.",
        "form",
    ),
    Key(
        "refresh_endpoint",
        kinds.endpoint("client_id"),
        "Where refresh tokens are redeemed.",
        default_text="the token endpoint",
    ),
    Key(
        "token_method",
        choice("POST", "GET"),
        "Of token requests. With `GET` codes and secrets stand in the address, which servers write into their logs.",
        "POST",
    ),
    Key("token_body", choice("form", "json"), "Of token requests that are a `POST`.", "form"),
    Key(
        "token_params",
        kinds.parameters(kinds.OWN_TOKEN_PARAMETERS, *OF_THE_PERSON, "answer:path"),
        "Added to each request that redeems a code.",
        {},
    ),
    Key(
        "refresh_params",
        kinds.parameters(kinds.OWN_TOKEN_PARAMETERS, "client_id", "state", "token:path", "answer:path"),
        "Added to each refresh. `{state}` is a new random text, the paths are those of `keep`.",
        {},
    ),
    Key(
        "keep",
        kinds.KEEP,
        'What of the answers is sealed with the refresh token for `refresh_params`, such as `"answer:device_id"`.',
        (),
    ),
    Key(
        "headers",
        kinds.HEADERS,
        "Sent to its token, userinfo, e-mail and revocation endpoints. Not Host, Authorization, Cookie and Content-*.",
        {},
    ),
)

#: Members of a token answer (RFC 6749 §5.1); no RFC names the last one.
ANSWER_MEMBERS: Final = (
    "access_token",
    "refresh_token",
    "id_token",
    "token_type",
    "scope",
    "expires_in",
    "refresh_token_expires_in",
)

ANSWER_KEYS: Final = (
    Key(
        "token_response",
        Kind("a dict", dict),
        "Where the members of a token answer are. A missing `token_type` is Bearer, another than Bearer is refused. "
        "A scope may be a list, or a text with spaces or commas.",
        default_text="the names of RFC 6749 §5.1",
        members=tuple(
            Key(name, kinds.PATH, f"In place of `{name}`.", None, default_text=f"`{name}`")
            for name in ANSWER_MEMBERS
        ),
    ),
    Key(
        "answer_error",
        Kind("a dict", dict),
        "Where an answer says that it failed, whatever its status. What is empty or `false` means that it did not.",
        default_text="`error` of a token answer",
        members=(
            Key(
                "token",
                kinds.PATH,
                "In answers of the token endpoint.",
                parse_path("error"),
                default_text="`error`",
            ),
            Key("userinfo", kinds.PATH, "In answers of the userinfo endpoint.", None, default_text="none"),
        ),
    ),
    Key("answer_ok", kinds.VALUES, "Values at `answer_error` that mean success, such as `ok` and `0`.", ()),
    Key(
        "refused_grants",
        kinds.WORDS,
        "Words at `answer_error` that mean that a refresh token is dead, beside `invalid_grant`.",
        (),
    ),
    Key(
        "denials",
        kinds.WORDS,
        "Error codes of an authorization response that mean that the person cancelled, beside `access_denied`.",
        (),
    ),
)

USERINFO_KEYS: Final = (
    Key(
        "identity_from",
        choice("userinfo", "token"),
        "`token`: the answer of the token endpoint names the person, and the userinfo endpoint is not asked. The "
        "rules then begin with `token:`.",
        "userinfo",
        types=("oauth2",),
    ),
    Key("userinfo_method", choice("GET", "POST"), "Of the userinfo request.", "GET"),
    Key(
        "userinfo_token",
        kinds.TOKEN_PLACE,
        "Where the access token is sent: `Authorization: Bearer`, `Authorization: WORD`, a parameter of the address, "
        "or one of the form.",
        "bearer",
    ),
    Key(
        "userinfo_auth",
        choice("none", "client"),
        "`client`: this site authenticates there as at the token endpoint. The access token is then a parameter.",
        "none",
    ),
    Key(
        "userinfo_params",
        kinds.parameters(frozenset(), "client_id", "access_token", "token:path", "answer:path"),
        "Added to the form of a `POST`, and to the address of all other userinfo requests.",
        {},
    ),
    Key("userinfo_body", kinds.JSON, "Sent as JSON with a `POST`, such as a query of GraphQL."),
)

OFFLINE_KEYS: Final = (
    Key(
        "offline",
        choice(*get_args(Offline)),
        "Whether it is asked for [refresh tokens](#refresh-tokens) that outlive the person's sign-in there. `auto`: if "
        "`UPSTREAM_SWAP`, `UPSTREAM_TOKEN_CLIENTS` or `CHAINS` name it, or `scopes` go beyond those of OpenID Connect "
        "and of its preset.",
        "auto",
    ),
    Key(
        "offline_scopes",
        SCOPES,
        "The scopes that ask for them.",
        (),
        {"oidc": ("offline_access",)},
    ),
    Key(
        "offline_params",
        kinds.parameters(OWN_PARAMETERS, *OF_THE_PERSON),
        'The parameters of the authorization request that do, such as `{"access_type": "offline"}`.',
        {},
    ),
    Key(
        "offline_prompt",
        choice(*get_args(OfflinePrompt)),
        "When the person is asked for consent because of them. `once`: if the answer brought none and there is none. "
        "`always`: at each sign-in.",
        "once",
    ),
)

REQUEST_KEYS: Final = (
    *AUTHORIZE_KEYS,
    *OFFLINE_KEYS,
    *TOKEN_KEYS,
    *ANSWER_KEYS,
    *USERINFO_KEYS,
    *REVOCATION_KEYS,
    *ACR_KEYS,
)


def placeholders_in(templates: Mapping[str, str]) -> Iterator[str]:
    for template in templates.values():
        yield from NAMES.findall(template)


def paths_in(templates: Mapping[str, str]) -> Iterator[Path]:
    """Yield the paths of placeholders such as ``{answer:device_id}``."""
    yield from (parse_path(name) for name in placeholders_in(templates) if ":" in name)


@dataclass(frozen=True, slots=True)
class SignedSecret:
    """What a client secret is signed with. Each field is the member of that name."""

    key: str = field(repr=False)
    key_id: str
    issuer: str
    audience: str
    lifetime: int


@dataclass(frozen=True, slots=True)
class Requests:
    """What our requests to a provider look like. Each field is the key of that name."""

    scope_separator: str = " "
    scope_parameter: str = "scope"
    prompt_params: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict, hash=False)
    offline: Offline = "auto"
    offline_scopes: tuple[str, ...] = ()
    offline_params: Mapping[str, str] = field(default_factory=dict, hash=False)
    offline_prompt: OfflinePrompt = "once"
    pkce: Pkce = "S256"
    nonce: Nonce = "required"
    claims_parameter: str = ""
    acr_values: Mapping[str, str] = field(default_factory=dict, hash=False)
    response_mode: str = ""
    answer_params: Mapping[str, str] = field(default_factory=dict, hash=False)
    authorize_fragment: str = ""
    client_id_parameter: str = "client_id"
    client_secret_parameter: str = "client_secret"
    signed_secret: SignedSecret | None = None
    basic_encoding: Literal["form", "raw"] = "form"
    refresh_endpoint: str = ""
    token_method: Literal["POST", "GET"] = "POST"
    token_body: Literal["form", "json"] = "form"
    token_params: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    refresh_params: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    keep: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)

    token_response: Mapping[str, Path | None] = field(default_factory=dict, hash=False)
    answer_error: Mapping[str, Path | None] = field(default_factory=dict, hash=False)
    answer_ok: tuple[str | int, ...] = ()
    refused_grants: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()
    identity_from: Literal["userinfo", "token"] = "userinfo"
    userinfo_method: Literal["GET", "POST"] = "GET"
    userinfo_token: str = "bearer"
    userinfo_auth: Literal["none", "client"] = "none"
    userinfo_params: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    userinfo_body: str = ""
    revocation_request: RevocationRequest | None = None

    @property
    def asks_again(self) -> bool:
        """Whether a request for consent could bring the refresh token that an answer lacks."""
        return self.offline_prompt == "once" and self.prompt_params.get(CONSENT) != {}

    @property
    def notices_a_stolen_code(self) -> bool:
        """Whether a code of somebody else is refused (RFC 9700 §4.5)."""
        return self.pkce != "none" or self.nonce != "none"

    def keeps(self, path: Path) -> bool:
        """Say whether *path* reads something else than parameters of the answer that are not kept."""
        return path.source != "answer" or path.segments[0] in self.answer_params

    def complaint(self) -> str:
        """Return what is wrong with the combination of keys, or nothing."""
        if not {name for name in placeholders_in(self.refresh_params) if ":" in name} <= set(self.keep):
            return '"refresh_params" reads what "keep" does not name'
        if not all(self.keeps(parse_path(name)) for name in self.keep):
            return '"keep" reads an "answer:" that "answer_params" does not keep'
        for key in ("token_params", "userinfo_params"):
            if not all(self.keeps(path) for path in paths_in(getattr(self, key))):
                return f'"{key}" reads an "answer:" that "answer_params" does not keep'
        place = self.userinfo_token.partition(":")[0]
        if self.userinfo_method != "POST" and (place == "form" or self.userinfo_body):
            key = "userinfo_body" if self.userinfo_body else "userinfo_token"
            return f'"{key}" needs "userinfo_method" "POST"'
        if self.userinfo_body and place == "form":
            return '"userinfo_body" leaves no form for "userinfo_token"'
        if self.userinfo_auth == "client" and place in ("bearer", "header"):
            return '"userinfo_auth" "client" needs "userinfo_token" in a parameter'
        return self.revocation_request.complaint() if self.revocation_request is not None else ""


def requests_from(values: Mapping[str, Any]) -> Requests:
    """Return the value of the keys that are fields of :class:`Requests`; *values* may hold others."""
    names = {one.name for one in fields(Requests)}
    found = {name: value for name, value in values.items() if name in names}
    if "nonce" not in found:
        # A provider without ID tokens has none.
        found["nonce"] = "none"
    if found["signed_secret"] is not None:
        found["signed_secret"] = SignedSecret(**found["signed_secret"])
    if found["revocation_request"] is not None:
        found["revocation_request"] = RevocationRequest(**found["revocation_request"])
    return Requests(**found)
