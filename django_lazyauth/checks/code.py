"""Can the keys be read, and the classes that the settings name be used?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from django_lazyauth.conf import is_fapi2, raw_settings
from django_lazyauth.conf.messages import complaint, readable
from django_lazyauth.tokens.keys import signing_algorithms, signing_keys
from django_lazyauth.toolkit.scopes import available_scopes
from django_lazyauth.toolkit.settings import validator_knows_keys
from django_lazyauth.vault.cipher import vault_keys

#: What each of ``TELEMETRY`` imports.
TELEMETRY = {"prometheus": "prometheus_client", "opentelemetry": "opentelemetry"}
#: What RFC 7592 needs of a store.
MANAGING = ("registration_access_token_digest", "update_client", "unregister_client")


def check_keys() -> Iterator[CheckMessage]:
    if readable("vault_keys") is not None:
        yield from _raised(vault_keys, "lazyauth.E004")
    if readable("signing_keys") is None:
        return
    yield from (unreadable := list(_raised(signing_keys, "lazyauth.E005")))
    if not unreadable and is_fapi2() and "RS256" in signing_algorithms():
        yield Error(
            "A key of this site signs with RS256, which the profile does not allow (FAPI 2.0 Security Profile §5.4.1).",
            hint='Leave EC P-256 or Ed25519 keys in LAZYAUTH["SIGNING_KEYS"]. The public half of an old key may stay.',
            id="lazyauth.E033",
        )
    if not unreadable and not signing_keys():
        yield Error(
            'LAZYAUTH["SIGNING_KEYS"] is empty: ID tokens and access tokens cannot be signed.',
            hint="Give it a PEM private key: `manage.py generate_signing_key` prints one. If the settings take it "
            "from the environment, load that first.",
            id="lazyauth.E005",
        )


def _raised(work: Callable[[], object], check_id: str) -> Iterator[CheckMessage]:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - a check reports whatever a wrong key leads to.
        yield Error(complaint(error), id=check_id)


def check_classes() -> Iterator[CheckMessage]:
    resolver = readable("user_resolver")
    if resolver is not None:
        for name in _missing(resolver, ("find", "create")):
            yield Error(f'The class of LAZYAUTH["USER_RESOLVER"] has no {name}().', id="lazyauth.E006")
    for cipher in _made("CIPHER", "lazyauth.E007"):
        if isinstance(cipher, CheckMessage):
            yield cipher
            continue
        for name in _missing(cipher, ("seal", "open", "needs_reseal")):
            yield Error(f'The class of LAZYAUTH["CIPHER"] has no {name}().', id="lazyauth.E007")
    for store in _made("REGISTRATION_STORE", "lazyauth.E011"):
        yield from [store] if isinstance(store, CheckMessage) else _store(store)


def _made(name: str, check_id: str) -> Iterator[Any]:
    """Yield what the class of a setting makes, or the error that says why it makes nothing."""
    factory = readable(name.lower())
    if factory is None:
        return
    try:
        made = factory()
    except Exception as error:  # noqa: BLE001 - a host's class raises what it likes.
        yield Error(
            f'The class of LAZYAUTH["{name}"] cannot be made: {complaint(error)}',
            hint="It is called without arguments.",
            id=check_id,
        )
    else:
        yield made


def _missing(found: object, names: Sequence[str]) -> list[str]:
    return [name for name in names if not callable(getattr(found, name, None))]


def _store(store: object) -> Iterator[CheckMessage]:
    if _missing(store, ["register_client"]):
        yield Error(
            'The class of LAZYAUTH["REGISTRATION_STORE"] has no register_client().', id="lazyauth.E012"
        )
    if _missing(store, ["get_client"]):
        yield Error(
            'The class of LAZYAUTH["REGISTRATION_STORE"] has no get_client().',
            hint="Nothing finds the clients that it registers, so none of them can sign anybody in.",
            id="lazyauth.E014",
        )
    elif missing := _missing(store, MANAGING):
        yield CheckWarning(
            f'The class of LAZYAUTH["REGISTRATION_STORE"] has no {", ".join(missing)}: '
            "clients cannot manage their registrations.",
            hint="This may be meant; every request that needs one of them is refused.",
            id="lazyauth.W002",
        )


def check_validator() -> Iterator[CheckMessage]:
    if not validator_knows_keys():
        yield CheckWarning(
            "The OAUTH2_VALIDATOR_CLASS of django-oauth-toolkit knows neither our access tokens nor client keys. "
            "OAuth2Authentication, TokenHasScope and protected_resource may refuse every JWT of ours. If its token, "
            "revocation or introspection endpoint is mounted, anybody passes there for a client that has a key and no "
            "secret.",
            hint="Derive it from django_lazyauth.toolkit.stock_validator.StockValidator.",
            id="lazyauth.W018",
        )


def check_scopes() -> Iterator[CheckMessage]:
    """A client that is told to ask for a scope that nobody may ask for is refused as a whole."""
    named = [(f'LAZYAUTH["SCOPE_HIERARCHY"]["{one}"]', (one, *more)) for one, more in _hierarchy().items()]
    resources = readable("protected_resources") or {}
    named += [(f'LAZYAUTH["PROTECTED_RESOURCES"]["{path}"]', one.scopes) for path, one in resources.items()]
    if not named or readable("scopes") is None:
        return
    known = available_scopes(None)
    for place, scopes in named:
        if unknown := [scope for scope in scopes if scope not in known and not scope.startswith("upstream:")]:
            yield Error(
                f"{place} names {unknown[0]!r}, which is no scope of this site.",
                hint='Describe it in LAZYAUTH["SCOPES"].',
                id="lazyauth.E030",
            )


def _hierarchy() -> Mapping[str, tuple[str, ...]]:
    return readable("scope_hierarchy") or {}


def check_runners() -> Iterator[CheckMessage]:
    for name in ("DISCOVERY_RUNNER", "BACKCHANNEL_LOGOUT_RUNNER"):
        if readable(name.lower()) == "celery" and name in raw_settings() and find_spec("celery") is None:
            yield Error(f'LAZYAUTH["{name}"] is "celery", and Celery is not installed.', id="lazyauth.E003")
    for name in readable("telemetry") or ():
        if find_spec(TELEMETRY[name]) is None:
            yield Error(
                f'LAZYAUTH["TELEMETRY"] names {name}, which is not installed.',
                hint=f"pip install django-lazyauth[{name}]",
                id="lazyauth.E003",
            )
