"""The ``LAZYAUTH`` setting, read anew on each access so that ``override_settings`` just works.

Every name the host may set is one attribute here, with its default, unit and reason. Nothing is cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

RegistrationMode = Literal["immediate", "lazy"]
Runner = Literal["threads", "celery"]
RegistrationPolicy = Literal["open", "token", "closed"]
Unswapped = Literal["refuse", "pass"]
AccessTokenFormat = Literal["jwt", "opaque"]


@dataclass(frozen=True, slots=True)
class Chain:
    """Providers that an authorization goes through, for one client or whenever a scope is asked for.

    Attributes:
        providers: The first says who it is, the others connect accounts.
    """

    providers: tuple[str, ...]
    client: str | None = None
    scope: str | None = None

    def __post_init__(self) -> None:
        names = self.providers if isinstance(self.providers, (list, tuple)) else ()
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ImproperlyConfigured('LAZYAUTH["CHAINS"]: "providers" must be a list of names.')
        if bool(self.client) == bool(self.scope):
            raise ImproperlyConfigured('LAZYAUTH["CHAINS"]: name either a "client" or a "scope".')


@dataclass(frozen=True, slots=True)
class SwapSettings:
    """How ``UpstreamSwap`` treats a request (spec: the upstream token vault, used downstream).

    Attributes:
        paths: Path prefix → provider whose token the tool server behind it gets. A prefix ends at a slash.
        header: Where the upstream token goes. In ``Authorization`` it is a bearer; in another header it stands
            alone, and the client's own ``Authorization`` is dropped.
        unswapped: What becomes of a request without one of our session's tokens.
    """

    paths: Mapping[str, str] = field(default_factory=dict)
    header: str = "Authorization"
    unswapped: Unswapped = "refuse"

    def __post_init__(self) -> None:
        texts = [*self.paths, *self.paths.values()] if isinstance(self.paths, Mapping) else [None]
        if not all(isinstance(text, str) and text for text in texts) or not all(
            path.startswith("/") for path in self.paths
        ):
            raise ImproperlyConfigured(
                'LAZYAUTH["UPSTREAM_SWAP"]: "paths" must map "/prefix/" to a provider.'
            )
        if not isinstance(self.header, str) or not re.fullmatch(r"[A-Za-z0-9-]+", self.header):
            raise ImproperlyConfigured('LAZYAUTH["UPSTREAM_SWAP"]: "header" must be the name of a header.')
        if self.unswapped not in get_args(Unswapped):
            raise ImproperlyConfigured('LAZYAUTH["UPSTREAM_SWAP"]: "unswapped" must be "refuse" or "pass".')


LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

KNOWN_SETTINGS = frozenset(
    {
        "ACCESS_TOKEN_FORMAT",
        "ACCESS_TOKEN_LIFETIME",
        "ALLOW_LOOPBACK_UPSTREAMS",
        "BACKCHANNEL_LOGOUT_ATTEMPTS",
        "BACKCHANNEL_LOGOUT_PAUSE",
        "BACKCHANNEL_LOGOUT_RUNNER",
        "BACKCHANNEL_LOGOUT_TIMEOUT",
        "CHAINS",
        "CIPHER",
        "CODE_LIFETIME",
        "CODE_RETENTION",
        "DEFAULT_CLIENT_SCOPES",
        "DISCOVERY_RUNNER",
        "FLOW_LIFETIME",
        "ID_TOKEN_LIFETIME",
        "INTROSPECTION_CLIENTS",
        "ISSUER",
        "MAX_PENDING_AUTHORIZATIONS",
        "MAX_PENDING_PER_NETWORK",
        "MAX_UNUSED_CLIENTS",
        "NUM_PROXIES",
        "PROTECTED_RESOURCES",
        "PROVIDERS",
        "REFRESH_GRACE",
        "REFRESH_TOKEN_IDLE_LIFETIME",
        "REFRESH_TOKEN_LIFETIME",
        "REGISTRATION",
        "REGISTRATIONS_PER_NETWORK",
        "REGISTRATION_POLICY",
        "REGISTRATION_STORE",
        "RESOURCE_SERVER",
        "REVOCATION_CHECK",
        "SCOPES",
        "SIGNING_KEYS",
        "SSO_ALLOWED_DOMAINS",
        "SSO_DISCOVERY_PATH",
        "SSO_DOMAINS",
        "UNUSED_CLIENT_LIFETIME",
        "UPSTREAM_SWAP",
        "UPSTREAM_TOKEN_CLIENTS",
        "USER_RESOLVER",
        "VAULT_KEYS",
        "VAULT_RETENTION",
    }
)

#: One or more segments below ``/.well-known/``; nothing that a server could read as another path.
_WELL_KNOWN_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")

STANDARD_SCOPES = {
    "openid": "Know who you are",
    "profile": "See your name",
    "email": "See your e-mail address",
    "offline_access": "Stay connected while you are away",
}


class LazyAuthSettings:
    """Typed view of ``settings.LAZYAUTH``."""

    @property
    def raw(self) -> Mapping[str, Any]:
        value = getattr(settings, "LAZYAUTH", None)
        if type(value) is dict:  # asked a dozen times in a request, and a dict as a rule
            return value
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured("LAZYAUTH must be a dict.")
        return value

    def _duration(self, name: str, default: timedelta) -> timedelta:
        value = self.raw.get(name, default)
        if isinstance(value, timedelta):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return timedelta(seconds=value)
        raise ImproperlyConfigured(f"LAZYAUTH[{name!r}] must be seconds or a timedelta.")

    def _int(self, name: str, default: int) -> int:
        value = self.raw.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise ImproperlyConfigured(f"LAZYAUTH[{name!r}] must be an integer, zero or more.")

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self.raw.get(name, default)
        if isinstance(value, bool):
            return value
        raise ImproperlyConfigured(f"LAZYAUTH[{name!r}] must be True or False.")

    @property
    def issuer(self) -> str:
        """The issuer identifier, exactly as clients will compare it (RFC 8414 §2).

        Raises:
            ImproperlyConfigured: Unset, or not an http(s) URL without query and fragment.
        """
        value = self.raw.get("ISSUER")
        if not isinstance(value, str) or not value:
            raise ImproperlyConfigured(
                'Set LAZYAUTH["ISSUER"] to the https URL that clients know this site by.'
            )
        parts = urlsplit(value)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment:
            raise ImproperlyConfigured(
                'LAZYAUTH["ISSUER"] must be a URL without query and fragment (RFC 8414 §2).'
            )
        return value

    @property
    def issuer_origin(self) -> str:
        """Scheme and authority of the issuer: what every absolute URL we publish starts with."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def issuer_path(self) -> str:
        """Path of the issuer without slashes at its ends; empty for a root issuer."""
        return urlsplit(self.issuer).path.strip("/")

    @property
    def issuer_is_loopback(self) -> bool:
        parts = urlsplit(self.issuer)
        return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS

    @property
    def registration(self) -> RegistrationMode:
        """When a new user is written: at the provider's success, or when the code is redeemed."""
        value = self.raw.get("REGISTRATION", "immediate")
        if value not in ("immediate", "lazy"):
            raise ImproperlyConfigured('LAZYAUTH["REGISTRATION"] must be "immediate" or "lazy".')
        mode: RegistrationMode = value
        return mode

    @property
    def providers(self) -> Mapping[str, Mapping[str, Any]]:
        """Provider name → what differs about it (spec: OpenID, providers as data)."""
        value = self.raw.get("PROVIDERS", {})
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured('LAZYAUTH["PROVIDERS"] must be a dict of dicts.')
        return value

    @property
    def scopes(self) -> dict[str, str]:
        """Scope name → what it lets the client do, in the words the consent page shows.

        The scopes of OpenID Connect are always there; ``SCOPES`` adds to them or rewords them.
        """
        return {**STANDARD_SCOPES, **self.raw.get("SCOPES", {})}

    @property
    def default_client_scopes(self) -> list[str]:
        """Scopes of a request that names none (RFC 6749 §3.3)."""
        return list(self.raw.get("DEFAULT_CLIENT_SCOPES", ["openid", "profile", "email"]))

    @property
    def flow_lifetime(self) -> timedelta:
        """How long a person may take from the first page to the code. 15 minutes."""
        return self._duration("FLOW_LIFETIME", timedelta(minutes=15))

    @property
    def code_lifetime(self) -> timedelta:
        """How long a code can be redeemed. 60 s; RFC 6749 §4.1.2 asks for at most 10 minutes."""
        return self._duration("CODE_LIFETIME", timedelta(seconds=60))

    @property
    def code_retention(self) -> timedelta:
        """How long an exchanged row stays, so that a replay of its code is recognised. 1 day."""
        return self._duration("CODE_RETENTION", timedelta(days=1))

    @property
    def access_token_format(self) -> AccessTokenFormat:
        """What clients get: JWTs that resource servers check by themselves (RFC 9068), or random bits."""
        value = self.raw.get("ACCESS_TOKEN_FORMAT", "jwt")
        if value not in ("jwt", "opaque"):
            raise ImproperlyConfigured('LAZYAUTH["ACCESS_TOKEN_FORMAT"] must be "jwt" or "opaque".')
        access_token_format: AccessTokenFormat = value
        return access_token_format

    @property
    def access_token_lifetime(self) -> timedelta:
        return self._duration("ACCESS_TOKEN_LIFETIME", timedelta(minutes=10))

    @property
    def id_token_lifetime(self) -> timedelta:
        return self._duration("ID_TOKEN_LIFETIME", timedelta(minutes=10))

    @property
    def refresh_token_idle_lifetime(self) -> timedelta:
        """How long an unused refresh token lives. 14 days."""
        return self._duration("REFRESH_TOKEN_IDLE_LIFETIME", timedelta(days=14))

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """How long a family of refresh tokens lives in all. 90 days."""
        return self._duration("REFRESH_TOKEN_LIFETIME", timedelta(days=90))

    @property
    def refresh_grace(self) -> timedelta:
        """How long after its use a refresh token still brings the answer that its use brought. 30 s; 0: never."""
        return self._duration("REFRESH_GRACE", timedelta(seconds=30))

    @property
    def vault_retention(self) -> timedelta:
        """How long the upstream tokens of a session are kept: as long as our refresh tokens can live."""
        return self._duration("VAULT_RETENTION", self.refresh_token_lifetime)

    @property
    def max_pending_authorizations(self) -> int:
        """Live authorization requests of strangers at one time, in all (I16)."""
        return self._int("MAX_PENDING_AUTHORIZATIONS", 10_000)

    @property
    def max_pending_per_network(self) -> int:
        """The same of one network, an IPv4 /24 or IPv6 /56 (I16)."""
        return self._int("MAX_PENDING_PER_NETWORK", 500)

    @property
    def registration_policy(self) -> RegistrationPolicy:
        """Who may register a client: anybody, who holds an initial access token, or nobody (RFC 7591 §3)."""
        value = self.raw.get("REGISTRATION_POLICY", "open")
        if value not in ("open", "token", "closed"):
            raise ImproperlyConfigured('LAZYAUTH["REGISTRATION_POLICY"] must be "open", "token" or "closed".')
        policy: RegistrationPolicy = value
        return policy

    @property
    def registrations_per_network(self) -> int:
        """New clients of one network (an IPv4 /24 or IPv6 /56) in one hour."""
        return self._int("REGISTRATIONS_PER_NETWORK", 20)

    @property
    def max_unused_clients(self) -> int:
        """Clients of strangers that nobody ever allowed; beyond it the oldest go (I16)."""
        value = self._int("MAX_UNUSED_CLIENTS", 10_000)
        if value < 1:
            raise ImproperlyConfigured('LAZYAUTH["MAX_UNUSED_CLIENTS"] must be one or more.')
        return value

    @property
    def unused_client_lifetime(self) -> timedelta:
        """How long a registered client may wait for its first use. 30 days."""
        return self._duration("UNUSED_CLIENT_LIFETIME", timedelta(days=30))

    @property
    def num_proxies(self) -> int:
        """How many proxies of ours append to ``X-Forwarded-For``. With 0 the header is never read."""
        return self._int("NUM_PROXIES", 0)

    @property
    def signing_keys(self) -> list[str]:
        """PEM keys of tokens we sign. The first signs; the others stay published (spec: token lifecycle)."""
        value = self.raw.get("SIGNING_KEYS", [])
        if not isinstance(value, (list, tuple)) or not all(isinstance(pem, str) for pem in value):
            raise ImproperlyConfigured('LAZYAUTH["SIGNING_KEYS"] must be a list of PEM texts.')
        return list(value)

    @property
    def revocation_check(self) -> bool:
        """Whether a resource server on the issuer's own site asks the database about each token. One query."""
        return self._flag("REVOCATION_CHECK", default=False)

    @property
    def introspection_clients(self) -> Mapping[str, list[str]]:
        """Client id → the resources that it is: it may introspect tokens that are for one of them (RFC 7662 §2)."""
        value = self.raw.get("INTROSPECTION_CLIENTS", {})
        if not isinstance(value, Mapping) or not all(
            isinstance(resources, (list, tuple)) and all(isinstance(item, str) for item in resources)
            for resources in value.values()
        ):
            raise ImproperlyConfigured(
                'LAZYAUTH["INTROSPECTION_CLIENTS"] must map client ids to lists of resource indicators.'
            )
        return {client_id: list(resources) for client_id, resources in value.items()}

    @property
    def vault_keys(self) -> list[str]:
        """``"<key id>:<base64 of 32 bytes>"`` each. The first seals, all open. Empty: derived from SECRET_KEY."""
        return list(self.raw.get("VAULT_KEYS", []))

    @property
    def chains(self) -> list[Chain]:
        """Which authorizations go through several upstreams."""
        value = self.raw.get("CHAINS", [])
        if not isinstance(value, (list, tuple)) or not all(
            isinstance(chain, Mapping) and set(chain) <= set(Chain.__slots__) and "providers" in chain
            for chain in value
        ):
            raise ImproperlyConfigured(
                'LAZYAUTH["CHAINS"] must be a list of dicts: "client" or "scope", and "providers".'
            )
        return [Chain(**chain) for chain in value]

    @property
    def upstream_swap(self) -> SwapSettings:
        """What the ``UpstreamSwap`` middleware does where it is not told otherwise."""
        value = self.raw.get("UPSTREAM_SWAP", {})
        if not isinstance(value, Mapping) or not set(value) <= set(SwapSettings.__slots__):
            raise ImproperlyConfigured(
                'LAZYAUTH["UPSTREAM_SWAP"] must be a dict of paths, header, unswapped.'
            )
        return SwapSettings(**value)

    @property
    def upstream_token_clients(self) -> Mapping[str, list[str]]:
        """Client id → providers whose tokens it may fetch over HTTP. Empty: the endpoint does not exist."""
        value = self.raw.get("UPSTREAM_TOKEN_CLIENTS", {})
        if not isinstance(value, Mapping) or not all(
            isinstance(names, (list, tuple)) for names in value.values()
        ):
            raise ImproperlyConfigured(
                'LAZYAUTH["UPSTREAM_TOKEN_CLIENTS"] must map client ids to lists of providers.'
            )
        return {client_id: list(names) for client_id, names in value.items()}

    @property
    def protected_resources(self) -> tuple[str, ...] | None:
        """Paths of this site that are described as protected resources (RFC 9728); ``None``: those it serves."""
        value = self.raw.get("PROTECTED_RESOURCES")
        if value is None:
            return None
        if not isinstance(value, (list, tuple)) or not all(
            isinstance(path, str) and path.startswith("/") for path in value
        ):
            raise ImproperlyConfigured(
                'LAZYAUTH["PROTECTED_RESOURCES"] must be a list of paths, such as "/mcp".'
            )
        return tuple(value)

    @property
    def allow_loopback_upstreams(self) -> bool:
        """Let providers live at ``http://127.0.0.1``: for development and the demo only."""
        return self.raw.get("ALLOW_LOOPBACK_UPSTREAMS", False) is True

    @property
    def sso_allowed_domains(self) -> tuple[str, ...] | Callable[[str], bool]:
        """Domains that may sign their people in by discovery, as configured: a list, or who decides.

        A callable, or the dotted path of one, gets a normalised domain. Default: none.
        """
        value = self.raw.get("SSO_ALLOWED_DOMAINS", ())
        if isinstance(value, str):
            value = self.load("SSO_ALLOWED_DOMAINS", "")
        if callable(value):
            decide: Callable[[str], bool] = value
            return decide
        if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ImproperlyConfigured(
            'LAZYAUTH["SSO_ALLOWED_DOMAINS"] must be a list of domains, or a callable.'
        )

    @property
    def sso_discovery_path(self) -> str:
        """What stands after ``https://{domain}/.well-known/`` in the address of a domain's document."""
        value = self.raw.get("SSO_DISCOVERY_PATH", "lazyauth-sso")
        if not isinstance(value, str) or len(value) > 200 or not _WELL_KNOWN_PATH.fullmatch(value):
            raise ImproperlyConfigured('LAZYAUTH["SSO_DISCOVERY_PATH"] must be a path below /.well-known/.')
        return value

    @property
    def sso_domains(self) -> Mapping[str, Mapping[str, Any]]:
        """Domain → what the operator knows of it: its provider, or where its document is."""
        value = self.raw.get("SSO_DOMAINS", {})
        if not isinstance(value, Mapping) or not all(isinstance(item, Mapping) for item in value.values()):
            raise ImproperlyConfigured('LAZYAUTH["SSO_DOMAINS"] must be a dict of dicts.')
        return value

    @property
    def discovery_runner(self) -> Runner:
        """Who fetches what an SSO domain says: threads of the web process, or Celery workers."""
        return self._runner("DISCOVERY_RUNNER", "threads")

    def _runner(self, name: str, default: Runner) -> Runner:
        value = self.raw.get(name, default)
        if value not in ("threads", "celery"):
            raise ImproperlyConfigured(f'LAZYAUTH[{name!r}] must be "threads" or "celery".')
        runner: Runner = value
        return runner

    @property
    def backchannel_logout_runner(self) -> Runner:
        """Who tells clients that a session ended: a thread of this process, or Celery workers."""
        return self._runner("BACKCHANNEL_LOGOUT_RUNNER", self.discovery_runner)

    @property
    def backchannel_logout_attempts(self) -> int:
        """How often a client is told before we give up. 10."""
        value = self._int("BACKCHANNEL_LOGOUT_ATTEMPTS", 10)
        if value < 1:
            raise ImproperlyConfigured('LAZYAUTH["BACKCHANNEL_LOGOUT_ATTEMPTS"] must be one or more.')
        return value

    @property
    def backchannel_logout_pause(self) -> timedelta:
        """How long after the first try the second comes. 10 s; each further pause is twice as long, 1 h at most."""
        value = self._duration("BACKCHANNEL_LOGOUT_PAUSE", timedelta(seconds=10))
        if value <= timedelta(0):
            raise ImproperlyConfigured('LAZYAUTH["BACKCHANNEL_LOGOUT_PAUSE"] must be longer than nothing.')
        return value

    @property
    def backchannel_logout_timeout(self) -> timedelta:
        """How long one try may take in all. 5 s; a worker's claim on it ends after 60 s."""
        value = self._duration("BACKCHANNEL_LOGOUT_TIMEOUT", timedelta(seconds=5))
        if not timedelta(0) < value <= timedelta(seconds=30):
            raise ImproperlyConfigured(
                'LAZYAUTH["BACKCHANNEL_LOGOUT_TIMEOUT"] must be between 0 and 30 seconds.'
            )
        return value

    def load(self, name: str, default: str) -> Any:
        """Import the class that a dotted-path setting names.

        Raises:
            ImproperlyConfigured: The path does not lead to anything.
        """
        path = self.raw.get(name, default)
        if not isinstance(path, str):
            return path
        try:
            return import_string(path)
        except ImportError as error:
            raise ImproperlyConfigured(f"LAZYAUTH[{name!r}] = {path!r} cannot be imported.") from error


lazyauth_settings = LazyAuthSettings()
