"""What must not be deployed: settings that are weaker than what we promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from django_lazyauth.conf import ROWS, prints_mail
from django_lazyauth.conf.kinds import in_words, is_a
from django_lazyauth.conf.messages import readable
from django_lazyauth.resource_server.checks import cache_is_unshared

#: Mail backends that deliver nothing.
TOY_MAIL_BACKENDS = (
    "console.EmailBackend",
    "dummy.EmailBackend",
    "locmem.EmailBackend",
    "filebased.EmailBackend",
)


def check_transport() -> Iterator[CheckMessage]:
    if (readable("issuer") or "").lower().startswith("http:"):
        yield Error(
            "The issuer is not https.", hint='Set LAZYAUTH["ISSUER"] to an https URL.', id="lazyauth.E101"
        )
    if readable("allow_loopback_upstreams"):
        yield Error(
            'LAZYAUTH["ALLOW_LOOPBACK_UPSTREAMS"] lets upstreams be reached without TLS.',
            hint="It is for development; remove it.",
            id="lazyauth.E102",
        )
    if not settings.SESSION_COOKIE_SECURE:
        yield Error(
            "The session cookie travels over plain HTTP. Whoever reads it is signed in.",
            hint="Set SESSION_COOKIE_SECURE = True.",
            id="lazyauth.E103",
        )
    for name, config in [*_configs("providers"), *_configs("sso_domains")]:
        for key, value in config.items():
            if is_a(key, str) and is_a(value, str) and value.startswith("http://"):
                yield Error(
                    f"Provider {name!r}: {key} is not https.",
                    hint="An upstream without TLS is for development. Give the https URL, or remove the entry.",
                    id="lazyauth.E104",
                )

    for issuer in readable("id_jag_audiences") or ():
        if not issuer.startswith("https://"):
            yield Error(f"ID_JAG_AUDIENCES: {issuer} is not https.", id="lazyauth.E104")


def _configs(setting: str) -> list[tuple[str, Mapping[str, Any]]]:
    found = readable(setting) or {}
    return [(name, config) for name, config in found.items() if is_a(config, Mapping)]


def mails_codes() -> bool:
    """Say whether there is a password provider."""
    types = [config.get("type") for _, config in _configs("providers")]
    return any(is_a(kind, str) and str(kind) == "password" for kind in types)


def _delivers_mail() -> bool:
    """Say whether mail leaves the site. Django 6.1 has ``MAILERS`` in place of ``EMAIL_BACKEND``."""
    if prints_mail():
        return False
    mailers = getattr(settings, "MAILERS", None)
    if mailers is not None:
        mailer = mailers.get("default")
        return mailer is not None and not mailer.get("BACKEND", "").endswith(TOY_MAIL_BACKENDS)
    # The default delivers. Django 6.1 warns about reading the setting where the host has not set it.
    is_set = settings.is_overridden("EMAIL_BACKEND")  # type: ignore[misc]  # the stubs know no method of it
    return not (is_set and settings.EMAIL_BACKEND.endswith(TOY_MAIL_BACKENDS))


def check_site() -> Iterator[CheckMessage]:
    if cache_is_unshared():
        yield Error(
            "The cache is local to one process, or is made of files, which two processes write at once: each may count "
            "throttles, fetches and DPoP proofs for itself.",
            hint='Set CACHES["default"] to Redis, Memcached or the database.',
            id="lazyauth.E105",
        )
    yield from _caches()
    if mails_codes() and not _delivers_mail():
        yield Error(
            "The password provider mails codes, and the mail backend of the site delivers nothing.",
            hint='Set EMAIL_BACKEND, or MAILERS["default"] since Django 6.1, to a backend that delivers.',
            id="lazyauth.E113",
        )


def _caches() -> Iterator[CheckMessage]:
    cache = settings.CACHES.get("default", {})
    if str(cache.get("BACKEND", "")).endswith("RedisCache") and not _is_bounded(cache):
        yield CheckWarning(
            "While Redis hangs, each request that counts something waits for it for seconds, or for ever.",
            hint='Set "socket_timeout" and "socket_connect_timeout" of CACHES["default"]["OPTIONS"] to 0.5.',
            id="lazyauth.W027",
        )
    if settings.SESSION_ENGINE == "django.contrib.sessions.backends.cache":
        yield CheckWarning(
            "Sessions are in the cache only. While it does not answer, Django signs out everybody who comes.",
            hint='Set SESSION_ENGINE to "django.contrib.sessions.backends.cached_db", or leave it out.',
            id="lazyauth.W028",
        )


def _is_bounded(cache: Mapping[str, Any]) -> bool:
    """Say whether both limits are set, in whatever place: ``OPTIONS``, in capitals for django-redis, or the URL."""
    said = repr((cache.get("OPTIONS"), cache.get("LOCATION"))).lower()
    return "socket_timeout" in said and "socket_connect_timeout" in said


def check_secrets() -> Iterator[CheckMessage]:
    if readable("vault_keys") == ():
        yield Error(
            "Upstream tokens are sealed under a key derived from SECRET_KEY, or in development one of this machine.",
            hint='Set LAZYAUTH["VAULT_KEYS"]: a key that is backed up and rotated by itself. '
            "`manage.py generate_vault_key` makes one.",
            id="lazyauth.E106",
        )
    if readable("signing_keys") == ():
        yield Error(
            'LAZYAUTH["SIGNING_KEYS"] is empty.',
            hint="Signing with django-oauth-toolkit's OIDC_RSA_PRIVATE_KEY works, and cannot be rotated by list. "
            "`manage.py generate_signing_key` makes a key.",
            id="lazyauth.E107",
        )


def check_audiences() -> Iterator[CheckMessage]:
    if readable("assertion_audience_compat"):
        yield CheckWarning(
            "Some clients sign assertions for the URL of an endpoint. A hostile server can collect such assertions.",
            hint='Let them sign for the issuer, and remove them from LAZYAUTH["ASSERTION_AUDIENCE_COMPAT"].',
            id="lazyauth.W017",
        )


def check_devices() -> Iterator[CheckMessage]:
    flow = readable("device_flow")
    if flow is None:
        return
    if flow.lifetime > timedelta(minutes=30):
        yield Error(
            'LAZYAUTH["DEVICE_FLOW"]["lifetime"] is more than 30 min: whoever sends its code to somebody has as long.',
            hint="Ten minutes are enough to type a code.",
            id="lazyauth.E123",
        )
    if flow.interval < 5:
        yield Error(
            'LAZYAUTH["DEVICE_FLOW"]["interval"] is less than 5 s.',
            hint="Each device that waits asks as often (RFC 8628 §3.2).",
            id="lazyauth.E124",
        )
    if flow.strangers:
        yield CheckWarning(
            "Clients that registered themselves may ask for devices, under whatever name they chose.",
            hint='Make clients for your devices, and remove "strangers" from LAZYAUTH["DEVICE_FLOW"].',
            id="lazyauth.W023",
        )


def check_delegation() -> Iterator[CheckMessage]:
    for client_id, policy in (readable("token_exchange") or {}).items():
        if policy.unbound:
            yield CheckWarning(
                f"{client_id!r} may exchange a token that is bound to a key for one that anybody can use.",
                hint='Let it send DPoP proofs, and remove "unbound" from its entry in LAZYAUTH["TOKEN_EXCHANGE"].',
                id="lazyauth.W024",
            )
    policies = [(name, config.get("id_jag")) for name, config in _configs("providers")]
    for name, policy in [*policies, ("SSO_ID_JAG", readable("sso_id_jag"))]:
        for flag in ("public_clients", "reusable"):
            if is_a(policy, Mapping) and policy.get(flag) is True:
                yield CheckWarning(
                    f"{name}: {flag!r} of its id_jag lets whoever holds an assertion use it.",
                    hint="Remove it: clients prove themselves, and ask for a new assertion each time.",
                    id="lazyauth.W025",
                )


def check_limits() -> Iterator[CheckMessage]:
    """Settings may not exceed the deployment limit of their row."""
    for name, row in ROWS.items():
        value = readable(name.lower()) if row.deploy else None
        if row.deploy is None or value is None or callable(value) or value <= row.deploy.at_most:
            continue  # What a callable returns is bounded where it is called.
        if name == "REGISTRATIONS_PER_NETWORK" and readable("registration_policy") != "open":
            continue  # Strangers cannot register.
        limit = row.deploy.at_most
        shown = in_words(limit) if isinstance(limit, timedelta) else f"{limit:,}"
        yield Error(f'LAZYAUTH["{name}"] is more than {shown}.', hint=row.text, id=row.deploy.check_id)
