"""``LAZYAUTH["RESOURCE_SERVER"]``: whose access tokens this site takes, what for, and as whom. Read anew each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.openid.descriptor import ALGORITHMS


@dataclass(frozen=True, slots=True)
class ResourceServerSettings:
    """One such site (spec: token lifecycle).

    Attributes:
        issuer: The authorization server; its ``iss``, exactly.
        audience: The resource indicators that mean this site (RFC 8707). Empty: on the issuer's own site, what the
            requested URL lies below; elsewhere a mistake.
        jwks_uri: Where the issuer's keys are, if not where its metadata says.
        algorithms: Those that are accepted. No HMAC: who could check one could make one.
        user: What makes a user of a token. Default: the issuer's own user on its own site, a principal elsewhere.
    """

    issuer: str
    audience: tuple[str, ...] = ()
    jwks_uri: str = ""
    algorithms: tuple[str, ...] = ALGORITHMS
    user: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.issuer, str) or not self.issuer:
            raise ImproperlyConfigured(
                'Set LAZYAUTH["RESOURCE_SERVER"]["issuer"], or LAZYAUTH["ISSUER"], to the URL of the issuer.'
            )
        for name in ("audience", "algorithms"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(item, str) and item for item in value):
                raise _wrong(f'"{name}" must be a list of texts')
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise _wrong(f'"algorithms" may hold {", ".join(ALGORITHMS)}')
        if not isinstance(self.jwks_uri, str):
            raise _wrong('"jwks_uri" must be a URL')
        if self.user is not None and not callable(self.user):
            raise _wrong('"user" must be a callable or its dotted path')


_NAMES: Final = frozenset(ResourceServerSettings.__slots__)


def _wrong(what: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f'LAZYAUTH["RESOURCE_SERVER"]: {what}.')


def read_settings() -> ResourceServerSettings:
    """Return what the settings say. Without anything said: this site takes its own tokens.

    Raises:
        ImproperlyConfigured: They say nothing that makes sense.
    """
    raw = lazyauth_settings.raw
    value = raw.get("RESOURCE_SERVER", {})
    if not isinstance(value, Mapping) or not value.keys() <= _NAMES:
        raise _wrong("a dict of issuer, audience, jwks_uri, algorithms, user is wanted")
    given: dict[str, Any] = {"issuer": raw.get("ISSUER", ""), **value}
    for name in ("audience", "algorithms"):
        if isinstance(given.get(name), list):
            given[name] = tuple(given[name])
    if isinstance(given.get("audience"), str):
        given["audience"] = (given["audience"],)
    if isinstance(given.get("user"), str):
        given["user"] = _load(given["user"])
    return ResourceServerSettings(**given)


def _load(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError:
        raise _wrong(f'"user": {path!r} cannot be imported') from None
