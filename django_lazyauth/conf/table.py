"""One row for each name in ``settings.LAZYAUTH``. The system checks and ``docs/settings.md`` come from these rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, get_args

from . import issuer, kinds, nested
from .app_schemes import APP_SCHEMES, SCHEMES
from .delegation import DelegationRows
from .hierarchy import scope
from .kinds import choice, duration, integer
from .nested import Chain, DpopSettings, ResourceServerSettings, SwapSettings, from_dict, tables
from .pages import PageSettings
from .profile import ProfileRows
from .scope_rows import ScopeRows
from .setting import DeployLimit, Kind, Setting, Strict

RegistrationMode = Literal["immediate", "lazy"]
Runner = Literal["threads", "celery"]
UnverifiedEmail = Literal["refuse", "placeholder"]
RegistrationPolicy = Literal["open", "token", "closed"]
AccessTokenFormat = Literal["jwt", "opaque"]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: No setting may last longer: a date beyond it says that somebody mistook the unit.
TEN_YEARS = timedelta(days=3650)

_NAMES_BY_CLIENT = kinds.pairs(
    "a dict of client ids to lists of texts", kinds.items("a list of texts", kinds.text).read
)


def _allowed_domains(value: Any) -> tuple[str, ...] | Callable[[str], bool]:
    if kinds.is_a(value, str) or callable(value):
        return kinds.code(value)
    return kinds.items("", kinds.text, types=(list, tuple, set, frozenset)).read(value)


class LazyAuthSettings(PageSettings, ScopeRows, ProfileRows, DelegationRows):
    """Typed view of ``settings.LAZYAUTH``. Reading a value that its row does not allow raises ``Refused``."""

    issuer = Setting(
        kinds.OWN_ISSUER,
        "The https URL that clients know this site by. Every URL that we publish is built on it, never on `Host`. "
        "Clients compare it character by character. At the root of the origin it should end in `/`: some clients "
        "parse it and write it again, and a parsed URL has that slash. With a path it should not.",
        check_id="lazyauth.E001",
    )
    registration: Setting[RegistrationMode] = Setting(
        choice(*get_args(RegistrationMode)),
        'When a new user is written: at the provider\'s success (`"immediate"`) or when the code is redeemed '
        '(`"lazy"`). A provider may set its own `registration`.',
        default="immediate",
    )
    providers: Setting[Mapping[str, Mapping[str, Any]]] = Setting(
        Kind("a dict of dicts", kinds.mapping),
        "Name → configuration, in the order of the buttons. See below.",
        default={},
    )
    signing_keys = Setting(
        kinds.items("a list of PEM texts", kinds.text),
        "Private keys (RSA of 2048 to 8192 bits, EC P-256, Ed25519). The first signs, all are published. A private key "
        "may be in one line: its base64 text without the first and last line of the PEM. A retired key may be its "
        "public half. [How to rotate](concepts/resource-servers.md#signing-keys). Empty: django-oauth-toolkit's "
        "`OIDC_RSA_PRIVATE_KEY`, else in [development](how-to/development.md) keys of this machine.",
        default=[],
        check_id="lazyauth.E005",
    )
    access_token_format: Setting[AccessTokenFormat] = Setting(
        choice(*get_args(AccessTokenFormat)),
        "What clients get: RFC 9068 JWTs that resource servers check by themselves, or random bits.",
        default="jwt",
    )
    vault_keys = Setting(
        kinds.items('a list of "<key id>:<base64 of 32 bytes>"', kinds.text),
        "The first key seals, all open. Empty: in [development](how-to/development.md) a key of this machine, else "
        "derived from `SECRET_KEY`; `check --deploy` refuses both.",
        default=[],
        check_id="lazyauth.E004",
    )
    default_client_scopes = Setting(
        kinds.items("a list of scopes", scope),
        "Scopes of a request that names none (RFC 6749 §3.3).",
        default=["openid", "profile", "email"],
    )
    code_lifetime = Setting(
        duration(at_most=HOUR),
        "How long a code can be redeemed (RFC 6749 §4.1.2).",
        default=timedelta(seconds=60),
        deploy=DeployLimit(timedelta(minutes=10), "lazyauth.E108"),
        fapi2=Strict(
            timedelta(seconds=60), lambda value: value <= timedelta(seconds=60), "60 seconds or less"
        ),
    )
    code_retention = Setting(
        duration(at_most=TEN_YEARS),
        "How long an exchanged row stays, so that a replay of its code is recognised.",
        default=DAY,
    )
    sign_in_log_retention = Setting(
        duration(at_most=365 * DAY, zero=True),
        "How long an ended sign-in stays for operators to look at; the oldest of [10,000 of a kind]"
        "(operators.md#sign-ins) go before that. 0: none is kept.",
        default=7 * DAY,
    )
    flow_lifetime = Setting(
        duration(at_most=7 * DAY),
        "How long a person may take from the first page to the code.",
        default=timedelta(minutes=15),
        deploy=DeployLimit(HOUR, "lazyauth.E110"),
    )
    refresh_token_idle_lifetime = Setting(
        duration(at_most=TEN_YEARS),
        "How long an unused refresh token lives.",
        default=14 * DAY,
        deploy=DeployLimit(90 * DAY, "lazyauth.E111"),
    )
    refresh_token_lifetime = Setting(
        duration(at_most=TEN_YEARS),
        "How long a family of refresh tokens lives, used or not.",
        default=90 * DAY,
        deploy=DeployLimit(400 * DAY, "lazyauth.E112"),
    )
    refresh_grace = Setting(
        duration(at_most=DAY, zero=True),
        "How long after its use a [refresh token](concepts/refresh-tokens.md) still gets the same answer again, for "
        "clients that lost the answer. 0: a second use is a replay at once.",
        default=timedelta(seconds=30),
        deploy=DeployLimit(timedelta(minutes=2), "lazyauth.E120"),
    )
    vault_retention = Setting(
        duration(at_most=TEN_YEARS),
        "How long the upstream tokens of a session are kept.",
        default_as="refresh_token_lifetime",
    )
    max_pending_authorizations = Setting(
        integer(at_most=10**9),
        "Authorization requests of strangers at one time, until their code is exchanged. Expired ones do not count.",
        default=10_000,
    )
    max_pending_per_network = Setting(
        integer(at_most=10**9), "The same for one network (IPv4 /24, IPv6 /56).", default=500
    )
    num_proxies = Setting(
        integer(at_most=100),
        "Number of your proxies that append to `X-Forwarded-For`. With 0 the header is never read.",
        default=0,
    )
    sso_allowed_domains: Setting[tuple[str, ...] | Callable[[str], bool]] = Setting(
        Kind("a list of domains, or a callable or its dotted path", _allowed_domains),
        "Domains whose own provider may sign their people in, found by discovery. A callable gets a normalised "
        "domain and returns `True`. See [SSO](concepts/sso.md).",
        default=[],
    )
    sso_discovery_path = Setting(
        # Nothing that a server could read as another path.
        kinds.matching(
            "a path below /.well-known/, at most 200 characters",
            r"(?=.{1,200}\Z)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*",
        ),
        "What stands after `https://{domain}/.well-known/` in the URL of a domain's document.",
        default="lazyauth-sso",
    )
    sso_domains = Setting(
        kinds.pairs("a dict of dicts", kinds.mapping),
        "Domain → provider as below (it is not discovered then), or the table below for a document elsewhere. A "
        "domain that is named here is allowed.",
        default={},
    )
    discovery_runner: Setting[Runner] = Setting(
        choice(*get_args(Runner)),
        "What fetches for SSO domains, and the keys of providers that are stale: threads of the web process, or Celery "
        "workers.",
        default="threads",
    )
    provider_keys_max_age = Setting(
        duration(at_least=HOUR, at_most=7 * DAY),
        "How long the [keys of a provider](concepts/sso.md#keys-of-configured-providers) are believed since it last "
        "answered.",
        default=DAY,
    )
    backchannel_logout_runner: Setting[Runner] = Setting(
        choice(*get_args(Runner)),
        "What [notifies clients](concepts/sessions.md#back-channel-logout) that a session ended: a thread of the "
        "process, or Celery workers.",
        default_as="discovery_runner",
    )
    backchannel_logout_attempts = Setting(
        integer(at_least=1, at_most=100), "How often a client is notified before we give up.", default=10
    )
    backchannel_logout_pause = Setting(
        duration(at_most=HOUR),
        "Time between the first try and the second. Each further pause is twice as long, one hour at most.",
        default=timedelta(seconds=10),
    )
    backchannel_logout_timeout = Setting(
        duration(at_most=timedelta(seconds=30)),
        "How long one try may take in all.",
        default=timedelta(seconds=5),
    )
    registration_policy: Setting[RegistrationPolicy] = Setting(
        choice(*get_args(RegistrationPolicy)),
        "Who may register a client: anybody, holders of an initial access token, or nobody (RFC 7591 §3). See "
        "[client registration](concepts/client-registration.md).",
        default="open",
        fapi2=Strict("closed", lambda value: value != "open", '"token" or "closed"'),
    )
    cimd = Setting(
        kinds.optional(kinds.FLAG),
        "Whether a client id may be the URL of a client ID metadata document. Not set: django-oauth-toolkit's "
        '`CIMD_ENABLED` where the site sets that, else where `REGISTRATION_POLICY` is `"open"`.',
        default=None,
        default_text='where `REGISTRATION_POLICY` is `"open"`',
        fapi2=Strict(False, lambda value: value is False, "False"),
    )
    app_schemes = Setting(
        SCHEMES,
        "Schemes of apps that redirect URIs may have without reverse-DNS form, unless a client calls itself `web`. The "
        "default are those of well-known MCP clients. A list replaces it. django-oauth-toolkit's "
        "`ALLOWED_REDIRECT_URI_SCHEMES` are allowed too.",
        default=APP_SCHEMES,
    )
    registrations_per_network = Setting(
        integer(at_most=10**9),
        "New clients of one network (IPv4 /24, IPv6 /56) in one hour.",
        default=20,
        deploy=DeployLimit(1000, "lazyauth.E114"),
    )
    max_unused_clients = Setting(
        integer(at_least=1, at_most=10**9),
        "Self-registered clients that nobody ever allowed. Beyond it the oldest are deleted.",
        default=10_000,
        deploy=DeployLimit(1_000_000, "lazyauth.E115"),
    )
    unused_client_lifetime = Setting(
        duration(at_most=TEN_YEARS),
        "How long a self-registered client may wait for its first use.",
        default=30 * DAY,
        deploy=DeployLimit(400 * DAY, "lazyauth.E116"),
    )
    registration_store = Setting(
        kinds.CODE,
        "Where registered clients are kept. It is called without arguments, once for each request.",
        default="django_lazyauth.clients.store.ModelRegistrationStore",
        check_id="lazyauth.E011",
    )
    user_resolver = Setting(
        kinds.CODE,
        "How an identity becomes a user.",
        default="django_lazyauth.users.UserResolver",
        check_id="lazyauth.E006",
    )
    unverified_email: Setting[UnverifiedEmail] = Setting(
        choice(*get_args(UnverifiedEmail)),
        "What happens to a new person without a verified address where the user model can hold no second one without: "
        "`refuse` tells them that one is needed, `placeholder` gives them `<user name>@<provider>.invalid`.",
        default="refuse",
    )
    cipher = Setting(
        kinds.CODE,
        "What seals upstream tokens.",
        default="django_lazyauth.vault.cipher.AesGcmCipher",
        check_id="lazyauth.E007",
    )
    chains = Setting(
        tables('a list of dicts of "providers" and either "client" or "scope"', Chain),
        "Authorizations that go through [several upstreams](concepts/vault.md#several-upstreams-at-once). See below.",
        default=[],
    )
    upstream_token_clients = Setting(
        _NAMES_BY_CLIENT,
        "Client id → providers whose tokens it may fetch at `/upstream-tokens/<provider>` with the scope "
        "`upstream:<provider>`. Empty: the endpoint does not exist.",
        default={},
    )
    upstream_swap = Setting(
        Kind("a dict", from_dict(SwapSettings)),
        "What the [`UpstreamSwap` middleware](concepts/vault.md#in-front-of-a-tool-server) does where its arguments "
        "do not say it. See below.",
        default={},
    )
    resource_server = Setting(
        Kind("a dict", from_dict(ResourceServerSettings)),
        "Whose access tokens this site takes. See below and [resource servers](concepts/resource-servers.md).",
        default=dict,  # Its issuer is ours, which may change.
    )
    revocation_check = Setting(
        kinds.FLAG,
        "Ask the database about each token that `AccessTokenAuthentication` has checked. On the issuer's own site "
        "only.",
        default=False,
    )
    assertion_audience_compat = Setting(
        kinds.items("a list of client ids", kinds.text),
        "Clients that an operator made and whose assertions may name the URL of an endpoint as `aud`. Those of all "
        "others must name the issuer. For libraries that cannot. See "
        "[keys instead of secrets](concepts/client-keys.md).",
        default=(),
        fapi2=Strict((), lambda value: not value, "empty"),
    )
    dpop = Setting(
        Kind("a dict", from_dict(DpopSettings)),
        "Tokens that are [bound to a key](concepts/bound-tokens.md) of their client (RFC 9449). See below.",
        default={},
        fapi2=Strict({"required": True}, lambda value: value.required, 'a dict with "required": True'),
    )
    require_par = Setting(
        kinds.FLAG,
        "Take [pushed](concepts/pushed-requests.md) requests only (RFC 9126).",
        default=False,
        fapi2=Strict(True, lambda value: value, "True"),
    )
    request_objects = Setting(
        kinds.FLAG, "Take [signed](concepts/pushed-requests.md) requests too (RFC 9101).", default=False
    )
    device_flow: Setting[nested.DeviceFlow | None] = Setting(
        nested.DEVICE_FLOW,
        "[Devices without a browser](concepts/devices.md) may ask for consent (RFC 8628). A dict says how; see below.",
        default=False,
    )
    introspection_clients = Setting(
        kinds.pairs("a dict of client ids to lists of resource indicators", nested.INDICATORS.read),
        "Client id → resource indicators that it is: it may introspect access tokens for one of them (RFC 7662 §2).",
        default={},
    )
    telemetry = Setting(
        kinds.items('a list of "prometheus" and "opentelemetry"', choice("prometheus", "opentelemetry").read),
        "Where [metrics and spans](how-to/observe.md) go. Each needs the extra of its name.",
        default=(),
    )
    allow_loopback_upstreams = Setting(
        kinds.FLAG,
        "Let upstreams live at `http://127.0.0.1`. For development; `check --deploy` refuses it.",
        default=False,
    )

    @property
    def used_upstreams(self) -> frozenset[str]:
        """The providers whose tokens these settings use: swapped, fetched, exchanged, or connected by a chain."""
        fetched = (names for names in self.upstream_token_clients.values())
        exchanged = (policy.upstreams for policy in self.token_exchange.values())
        chained = (chain.providers for chain in self.chains)
        return frozenset(self.upstream_swap.paths.values()).union(*fetched, *exchanged, *chained)

    @property
    def site_name(self) -> str:
        """How pages and mails name the site, in the active language."""
        return str(self.brand.name) or issuer.host(self.issuer)

    @property
    def issuer_origin(self) -> str:
        """Scheme and authority of the issuer. Every absolute URL that we publish begins with it."""
        return issuer.origin(self.issuer)

    @property
    def issuer_path(self) -> str:
        """Path of the issuer without slashes at its ends; empty for a root issuer."""
        return issuer.path(self.issuer)

    @property
    def issuer_is_loopback(self) -> bool:
        return issuer.is_loopback(self.issuer)


lazyauth_settings = LazyAuthSettings()
#: Name → row, in the order of the reference page.
ROWS: Mapping[str, Setting[Any]] = {
    row.name: row
    for table in (LazyAuthSettings, PageSettings, ScopeRows, ProfileRows, DelegationRows)
    for row in vars(table).values()
    if isinstance(row, Setting)
}
