"""System checks with stable ids. Broken settings are errors always; weak ones are errors of ``check --deploy``.

Ids below ``E100`` are about what cannot work, from ``E100`` about what must not be deployed. An id is never
given a second meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from django_lazyauth.clients.store import get_store
from django_lazyauth.conf import KNOWN_SETTINGS, lazyauth_settings
from django_lazyauth.errors import LazyAuthError
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, UpstreamToken
from django_lazyauth.openid.domains import check_configuration as check_sso_configuration
from django_lazyauth.providers.base import Provider
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.resource_server.settings import read_settings
from django_lazyauth.sign_in.deferred import USER_RESOLVER, mode_of
from django_lazyauth.tokens.keys import signing_keys
from django_lazyauth.toolkit.clients import token_models
from django_lazyauth.vault.cipher import get_cipher, vault_keys

Messages = Iterator[CheckMessage]
TAG = "lazyauth"

#: Caches that other processes cannot see, or that forget at once.
PROCESS_LOCAL_CACHES = ("locmem.LocMemCache", "dummy.DummyCache")
#: Mail that reaches nobody.
TOY_MAIL_BACKENDS = (
    "console.EmailBackend",
    "dummy.EmailBackend",
    "locmem.EmailBackend",
    "filebased.EmailBackend",
)


def _complaint(error: Exception) -> str:
    return str(error) or type(error).__name__


# -- what cannot work ------------------------------------------------------------------------------------


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that every setting can be read and everything it names can be loaded."""
    return [
        *_issuer(),
        *_known_names(),
        *_plain_values(),
        *_keys(),
        *_classes(),
        *_registration_store(),
        *_providers(),
        *_sso(),
        *_runners(),
        *_named_providers(),
        *_databases(),
    ]


def _issuer() -> Messages:
    try:
        _ = lazyauth_settings.issuer
    except ImproperlyConfigured as error:
        yield Error(
            _complaint(error),
            hint='For example "https://auth.example.org", without a slash.',
            id="lazyauth.E001",
        )


def _known_names() -> Messages:
    try:
        unknown = sorted(set(lazyauth_settings.raw) - KNOWN_SETTINGS)
    except ImproperlyConfigured as error:
        yield Error(_complaint(error), id="lazyauth.E002")
        return
    for name in unknown:
        yield Error(f"LAZYAUTH[{name!r}] is not a setting.", hint="Check its spelling.", id="lazyauth.E002")


def _plain_values() -> Messages:
    told: set[str] = set()
    for name in (
        "registration",
        "providers",
        "flow_lifetime",
        "code_lifetime",
        "code_retention",
        "access_token_format",
        "access_token_lifetime",
        "id_token_lifetime",
        "refresh_grace",
        "refresh_token_idle_lifetime",
        "refresh_token_lifetime",
        "vault_retention",
        "max_pending_authorizations",
        "max_pending_per_network",
        "num_proxies",
        "registration_policy",
        "registrations_per_network",
        "max_unused_clients",
        "unused_client_lifetime",
        "sso_allowed_domains",
        "sso_discovery_path",
        "sso_domains",
        "discovery_runner",
        "backchannel_logout_attempts",
        "backchannel_logout_pause",
        "backchannel_logout_runner",
        "backchannel_logout_timeout",
        "chains",
        "protected_resources",
        "upstream_swap",
        "upstream_token_clients",
        "revocation_check",
        "introspection_clients",
    ):
        try:
            getattr(lazyauth_settings, name)
        except ImproperlyConfigured as error:
            # A setting that stands in for another one complains for both.
            if (complaint := _complaint(error)) not in told:
                told.add(complaint)
                yield Error(complaint, id="lazyauth.E003")
    yield from _resource_server()


def _resource_server() -> Messages:
    try:
        if "RESOURCE_SERVER" not in lazyauth_settings.raw:
            return  # Then it is about our own issuer, and E001 is.
    except ImproperlyConfigured:
        return  # E002 says it
    try:
        read_settings()
    except ImproperlyConfigured as error:
        yield Error(_complaint(error), id="lazyauth.E003")


def _keys() -> Messages:
    try:
        vault_keys()
    except ImproperlyConfigured as error:
        yield Error(_complaint(error), id="lazyauth.E004")
    try:
        keys = signing_keys()
    except ImproperlyConfigured as error:
        yield Error(_complaint(error), id="lazyauth.E005")
    else:
        if not keys:
            yield Error(
                'LAZYAUTH["SIGNING_KEYS"] is empty: ID tokens and access tokens cannot be signed.',
                hint="Give it a PEM private key: `manage.py generate_signing_key` prints one.",
                id="lazyauth.E005",
            )


def _classes() -> Messages:
    try:
        resolver = lazyauth_settings.load("USER_RESOLVER", USER_RESOLVER)
        missing = [name for name in ("find", "create") if not callable(getattr(resolver, name, None))]
    except ImproperlyConfigured as error:
        yield Error(_complaint(error), id="lazyauth.E006")
    else:
        for name in missing:
            yield Error(f'The class of LAZYAUTH["USER_RESOLVER"] has no {name}().', id="lazyauth.E006")
    try:
        cipher = get_cipher()
        missing = [
            name for name in ("seal", "open", "needs_reseal") if not callable(getattr(cipher, name, None))
        ]
    except ImproperlyConfigured as error:
        yield Error(_complaint(error), id="lazyauth.E007")
    else:
        for name in missing:
            yield Error(f'The class of LAZYAUTH["CIPHER"] has no {name}().', id="lazyauth.E007")


def _registration_store() -> Messages:
    try:
        store = get_store()
    except ImproperlyConfigured as error:
        yield Error(_complaint(error), id="lazyauth.E011")
        return
    except Exception as error:  # noqa: BLE001 - a host's class raises what it likes when it is made.
        yield Error(
            f'The class of LAZYAUTH["REGISTRATION_STORE"] cannot be made: {type(error).__name__}.',
            hint="It is called without arguments, once for each request.",
            id="lazyauth.E011",
        )
        return
    if not callable(getattr(store, "register_client", None)):
        yield Error(
            'The class of LAZYAUTH["REGISTRATION_STORE"] has no register_client().', id="lazyauth.E012"
        )
    missing = [name for name in MANAGING if not callable(getattr(store, name, None))]
    if missing:
        yield CheckWarning(
            f'The class of LAZYAUTH["REGISTRATION_STORE"] has no {", ".join(missing)}: '
            "clients cannot manage their registrations.",
            hint="This may be meant; every request that needs one of them is refused.",
            id="lazyauth.W002",
        )


#: What RFC 7592 needs of a store.
MANAGING = ("get_client", "registration_access_token_digest", "update_client", "unregister_client")


def _providers() -> Messages:
    try:
        names = list(lazyauth_settings.providers)
    except ImproperlyConfigured:
        return
    for name in names:
        try:
            provider = get_provider(name)
            provider.check()
        except (ImproperlyConfigured, LazyAuthError, TypeError, ValueError) as error:
            if lazyauth_settings.providers[name].get("enabled", True):
                yield Error(f"Provider {name!r} cannot be set up: {_complaint(error)}", id="lazyauth.E008")
            continue
        yield from _provider(provider)


def _provider(provider: Provider) -> Messages:
    if not provider.name.replace("-", "").replace("_", "").isalnum() or len(provider.name) > 64:
        yield Error(
            f"Provider name {provider.name!r} must be letters, digits, - and _, at most 64.",
            id="lazyauth.E008",
        )
    if provider.registration not in (None, "lazy", "immediate"):
        yield Error(
            f'Provider {provider.name!r}: registration must be "immediate" or "lazy".', id="lazyauth.E003"
        )
        return
    if provider.emits_commit and type(provider).finalize is Provider.finalize:
        yield Error(
            f"Provider {provider.name!r} emits a commit but does not implement finalize() "
            f"(registration: {mode_of(provider)}).",
            hint="What complete() commits would be lost: implement finalize(), or commit nothing.",
            id="lazyauth.E009",
        )


def _sso() -> Messages:
    try:
        complaints = check_sso_configuration()
    except ImproperlyConfigured:
        return  # E003 says it
    for complaint in complaints:
        yield Error(f"SSO domains: {complaint}", id="lazyauth.E020")


def _runners() -> Messages:
    for name in ("DISCOVERY_RUNNER", "BACKCHANNEL_LOGOUT_RUNNER"):
        if lazyauth_settings.raw.get(name) == "celery" and find_spec("celery") is None:
            yield Error(f'LAZYAUTH[{name!r}] is "celery", and Celery is not installed.', id="lazyauth.E003")


def _named_providers() -> Messages:
    """Settings that name providers name some that there are, and that hold tokens."""
    try:
        named = {
            "CHAINS": [name for chain in lazyauth_settings.chains for name in chain.providers],
            "UPSTREAM_SWAP": list(lazyauth_settings.upstream_swap.paths.values()),
            "UPSTREAM_TOKEN_CLIENTS": [
                name for names in lazyauth_settings.upstream_token_clients.values() for name in names
            ],
        }
    except ImproperlyConfigured:
        return
    for setting, names in named.items():
        for name in dict.fromkeys(names):
            try:
                holds_tokens = get_provider(name).emits_commit and get_provider(name).is_upstream
            except (ImproperlyConfigured, LazyAuthError):
                holds_tokens = False
            if not holds_tokens:
                yield Error(
                    f"LAZYAUTH[{setting!r}] names {name!r}, which is no provider with upstream tokens.",
                    id="lazyauth.E040",
                )
    databases = {alias for alias in connections if connections[alias].settings_dict["ATOMIC_REQUESTS"]}
    if router.db_for_write(UpstreamToken) in databases:
        yield CheckWarning(
            "With ATOMIC_REQUESTS a view that asks for an upstream token cannot renew it: a transaction is open.",
            hint="Mark such views with transaction.non_atomic_requests.",
            id="lazyauth.W040",
        )


def _databases() -> Messages:
    models = [PendingAuthorization, ProviderIdentity, UpstreamToken, get_user_model(), *token_models()]
    databases = {router.db_for_write(model) for model in models}
    if len(databases) > 1:
        yield Error(
            "Users, tokens and the rows of this app must live in one database: an exchange is one transaction.",
            id="lazyauth.E010",
        )
    if not settings.USE_TZ:
        yield Error(
            "USE_TZ is off: times of tokens, codes and upstreams are compared as aware times.",
            hint="Set USE_TZ = True.",
            id="lazyauth.E013",
        )
    connection = connections[router.db_for_write(PendingAuthorization)]
    if (
        connection.vendor == "sqlite"
        and connection.settings_dict["OPTIONS"].get("transaction_mode") != "IMMEDIATE"
    ):
        yield CheckWarning(
            "Two exchanges at once may fail on SQLite with its default transaction mode.",
            hint='Set DATABASES["default"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".',
            id="lazyauth.W001",
        )


# -- what must not be deployed ---------------------------------------------------------------------------


def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no setting is weaker than what we promise (THREAT_MODEL, secure defaults)."""
    return [*_transport(), *_shared_state(), *_secrets(), *_registration(), *_lifetimes(), *_mail()]


def _transport() -> Messages:
    try:
        issuer = lazyauth_settings.issuer
    except ImproperlyConfigured:
        issuer = ""
    if issuer and urlsplit(issuer).scheme != "https":
        yield Error(
            "The issuer is not https.", hint='Set LAZYAUTH["ISSUER"] to an https URL.', id="lazyauth.E101"
        )
    if lazyauth_settings.allow_loopback_upstreams:
        yield Error(
            'LAZYAUTH["ALLOW_LOOPBACK_UPSTREAMS"] lets upstreams be reached without TLS.',
            hint="It is for development; remove it.",
            id="lazyauth.E102",
        )
    if not settings.SESSION_COOKIE_SECURE:
        yield Error(
            "The session cookie travels over plain HTTP, and with it who is signed in.",
            hint="Set SESSION_COOKIE_SECURE = True.",
            id="lazyauth.E103",
        )
    for name, config in [*_provider_configs(), *_domain_configs()]:
        for key, value in config.items():
            if isinstance(value, str) and value.startswith("http://"):
                yield Error(f"Provider {name!r}: {key} is not https.", id="lazyauth.E104")


def _provider_configs() -> list[tuple[str, Any]]:
    try:
        return list(lazyauth_settings.providers.items())
    except ImproperlyConfigured:
        return []


def _domain_configs() -> list[tuple[str, Any]]:
    try:
        return list(lazyauth_settings.sso_domains.items())
    except ImproperlyConfigured:
        return []


def _shared_state() -> Messages:
    backend = settings.CACHES.get("default", {}).get("BACKEND", "")
    if backend.endswith(PROCESS_LOCAL_CACHES):
        yield Error(
            "The cache is local to one process: throttles and single flights would count in each by itself.",
            hint='Set CACHES["default"] to Redis, Memcached or the database.',
            id="lazyauth.E105",
        )


def _secrets() -> Messages:
    if not lazyauth_settings.vault_keys:
        yield Error(
            "Upstream tokens are sealed under a key derived from SECRET_KEY.",
            hint='Set LAZYAUTH["VAULT_KEYS"]: a key that is backed up and rotated by itself.',
            id="lazyauth.E106",
        )
    try:
        pems = lazyauth_settings.signing_keys
    except ImproperlyConfigured:
        return  # E005 says it
    if not pems:
        yield Error(
            'LAZYAUTH["SIGNING_KEYS"] is empty.',
            hint="Signing with django-oauth-toolkit's OIDC_RSA_PRIVATE_KEY works, and cannot be rotated by list.",
            id="lazyauth.E107",
        )


def _registration() -> Messages:
    try:
        if (
            lazyauth_settings.registration_policy == "open"
            and lazyauth_settings.registrations_per_network > 1000
        ):
            yield Error(
                'LAZYAUTH["REGISTRATIONS_PER_NETWORK"] is so high that one network can fill the table.',
                hint="20 in an hour are enough for people; hand out initial access tokens for more.",
                id="lazyauth.E114",
            )
        if lazyauth_settings.max_unused_clients > 1_000_000:
            yield Error(
                'LAZYAUTH["MAX_UNUSED_CLIENTS"] is so high that it is no cap.',
                hint="10,000 is the default.",
                id="lazyauth.E115",
            )
    except ImproperlyConfigured:
        return  # Reported above.


#: What we promise at most: attribute, limit, check id.
LONGEST = (
    ("code_lifetime", timedelta(minutes=10), "lazyauth.E108"),
    ("access_token_lifetime", timedelta(hours=1), "lazyauth.E109"),
    ("flow_lifetime", timedelta(hours=1), "lazyauth.E110"),
    ("refresh_token_idle_lifetime", timedelta(days=90), "lazyauth.E111"),
    ("refresh_token_lifetime", timedelta(days=400), "lazyauth.E112"),
    ("unused_client_lifetime", timedelta(days=400), "lazyauth.E116"),
    ("refresh_grace", timedelta(minutes=2), "lazyauth.E120"),
)


def _lifetimes() -> Messages:
    for name, limit, check_id in LONGEST:
        try:
            lifetime = getattr(lazyauth_settings, name)
        except ImproperlyConfigured:
            continue
        if lifetime > limit:
            yield Error(f"LAZYAUTH[{name.upper()!r}] is longer than {limit}.", id=check_id)


def _mail() -> Messages:
    mails = any(config.get("type") == "password" for _, config in _provider_configs())
    if mails and settings.EMAIL_BACKEND.endswith(TOY_MAIL_BACKENDS):
        yield Error(
            "The password provider mails codes, and EMAIL_BACKEND delivers nothing.",
            hint="Set EMAIL_BACKEND to a backend that delivers.",
            id="lazyauth.E113",
        )


def register_checks() -> None:
    """Hook the checks in; called once by the app config."""
    register(check_settings, TAG)
    register(check_deployment, TAG, deploy=True)
