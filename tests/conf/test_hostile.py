"""``manage.py check`` reports whatever stands in the settings, and never raises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.translation import gettext_lazy

from django_lazyauth.conf import ROWS, lazyauth_settings
from django_lazyauth.resource_server import checks as resource_server_checks


class Raises:
    """Raises whenever it is looked at."""

    def _raise(self, *_):
        raise RuntimeError("canary")

    __eq__ = __bool__ = __len__ = __iter__ = __str__ = __repr__ = __getitem__ = __lt__ = __le__ = _raise
    __hash__ = object.__hash__

    @property
    def __class__(self):
        raise RuntimeError("canary")


class RaisingMapping(Mapping):
    def __getitem__(self, key):
        raise RuntimeError("canary")

    def __iter__(self):
        raise RuntimeError("canary")

    def __len__(self):
        raise RuntimeError("canary")


class OddText(str):
    __slots__ = ()

    def __eq__(self, other):
        raise RuntimeError("canary")

    __hash__ = str.__hash__


def raising():
    raise RuntimeError("canary")


def endless():
    value: dict = {}
    value["self"] = value
    value["list"] = [value]
    return value


VALUES = {
    "None": None,
    "true": True,
    "zero": 0,
    "negative": -1,
    "huge": 10**5000,
    "float": 0.5,
    "nan": math.nan,
    "infinity": math.inf,
    "negative infinity": -math.inf,
    "complex": 1j,
    "longest time": timedelta.max,
    "negative time": timedelta.min,
    "empty text": "",
    "text": "something else",
    "long text": "x" * 100_000,
    "NUL": "\0",
    "surrogate": "\ud800",
    "not a port": "https://host:99999/",
    "half an address": "https://[::1",
    "bytes": b"https://auth.example",
    "list of nothing": [None],
    "list of lists": [[[]]],
    "list of dicts": [{}, {"providers": [7]}, {7: 7}],
    "set": {1, "a"},
    "dict of nothing": {None: None},
    "dict of texts": {"a": "b"},
    "dict of dicts": {"x": {"y": {"z": []}}},
    "odd keys": {7: {}, ("a",): {}, "b": None},
    "names of all tables": dict.fromkeys(
        ["paths", "header", "issuer", "audience", "user", "class", "preset", "type", "discovery_url"], 7
    ),
    "itself": endless(),
    "object": object(),
    "type": int,
    "function": raising,
    "raises": Raises(),
    "list of raises": [Raises()],
    "dict of raises": {"a": Raises()},
    "raising mapping": RaisingMapping(),
    "odd text": OddText("lazy"),
    "lazy text": gettext_lazy("lazy"),
    "lazy that raises": SimpleLazyObject(raising),
    "lazy text that raises": lazy(raising, str)(),
    "exception": ValueError("canary"),
}


def check():
    found = run_checks(tags=["lazyauth"], include_deployment_checks=True)
    found += resource_server_checks.check_resource_server(None)
    found += resource_server_checks.check_deployment(None)
    assert all(isinstance(message, CheckMessage) for message in found)
    texts = [f"{message.msg} {message.hint}" for message in found]
    assert not any("canary" in text or len(text) > 2000 for text in texts)
    return {message.id: message.msg for message in found}


@pytest.mark.parametrize("name", ROWS)
def test_a_refused_value_is_an_error_of_its_id_and_is_never_read(lazyauth, name):
    refusals = {}
    for which, value in VALUES.items():
        lazyauth(**{name: value})
        found = check()
        refusals[which] = refusal_of(name)
        assert refusals[which] in (None, found.get(ROWS[name].check_id)), which
    assert any(refusals.values())


def refusal_of(name):
    """Return the text of what reading a setting raises, ``None`` if it can be read."""
    try:
        getattr(lazyauth_settings, name.lower())
    except ImproperlyConfigured as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("name", "key"),
    [("RESOURCE_SERVER", key) for key in ("issuer", "audience", "jwks_uri", "algorithms", "user", "x")]
    + [("UPSTREAM_SWAP", key) for key in ("paths", "header", "unswapped", "x")]
    + [("CHAINS", key) for key in ("providers", "client", "scope", "x")]
    + [("SSO_DOMAINS", key) for key in ("discovery_url", "display_name", "issuer", "client_id", "scopes")]
    + [("PROVIDERS", key) for key in ("class", "type", "preset", "issuer", "registration", "enabled")],
)
def test_nothing_within_a_setting_makes_the_check_raise(lazyauth, name, key):
    for value in VALUES.values():
        entry = {"scope": "s", "providers": ["demo"], key: value} if name == "CHAINS" else {key: value}
        whole = {"CHAINS": [entry], "SSO_DOMAINS": {"corp.example": entry}, "PROVIDERS": {"x": entry}}
        lazyauth(**{name: whole.get(name, entry)})
        check()


@pytest.mark.parametrize("which", VALUES)
def test_nothing_in_the_place_of_the_dict_makes_the_check_raise(settings, which):
    value = VALUES[which]
    settings.LAZYAUTH = value
    assert value is None or {"lazyauth.E002"} & set(check())


KEYS = {
    "None": None,
    "number": 7,
    "tuple": ("a",),
    "bytes": b"ISSUER",
    "empty": "",
    "long": "x" * 100_000,
    "odd text": OddText("issuer"),
    "raises": Raises(),
}


@pytest.mark.parametrize("which", KEYS)
def test_a_key_that_is_no_name_is_unknown(settings, which):
    settings.LAZYAUTH = {**settings.LAZYAUTH, KEYS[which]: 1}
    assert "lazyauth.E002" in check()
