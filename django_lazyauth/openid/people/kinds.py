"""The kinds of values of the keys that say who is taken. See :mod:`django_lazyauth.openid.provider_kinds`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from django_lazyauth.openid.provider_kinds import Kind, Wrong, is_a, text, wanted
from django_lazyauth.openid.rules import Path, Rule, check_subject, parse, parse_path, paths_of

#: Client ids in one list.
CLIENTS_LIMIT: Final = 16
#: Further names of one issuer.
ALIASES_LIMIT: Final = 4
#: Paths of ``allow``, values of each, and tenants.
PATHS_LIMIT: Final = 8
VALUES_LIMIT: Final = 256
#: Paths of ``keep_claims``.
KEPT_LIMIT: Final = 16
#: Fields of a user.
FIELDS_LIMIT: Final = 16
_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
#: Groups of a person, and characters of one.
GROUPS_LIMIT: Final = 200
GROUP_LIMIT: Final = 128
#: Rules for earlier subjects.
LEGACY_LIMIT: Final = 3


def texts(limit: int, what: str) -> Kind:
    """A list of at most *limit* texts, none of them empty."""

    def read(value: Any) -> tuple[str, ...]:
        wanted(is_a(value, list, tuple) and len(value) <= limit)
        found = [text().read(one) for one in value]
        wanted(all(found))
        return tuple(dict.fromkeys(found))

    return Kind(f"a list of at most {limit} {what}", read)


CLIENT_IDS: Final = texts(CLIENTS_LIMIT, "client ids")
ISSUERS: Final = texts(ALIASES_LIMIT, "issuers")
TENANTS: Final = texts(VALUES_LIMIT, "values")


def _allow(value: Any) -> tuple[tuple[Path, tuple[str | int | bool, ...]], ...]:
    wanted(is_a(value, Mapping) and len(value) <= PATHS_LIMIT)
    found = []
    for name, values in value.items():
        wanted(is_a(name, str) and is_a(values, list, tuple) and 0 < len(values) <= VALUES_LIMIT)
        wanted(all(is_a(one, str, int) for one in values))
        path = parse_path(name)
        if path.source == "answer":
            raise Wrong('cannot look at "answer:", which is in the hands of the browser')
        found.append((path, tuple(values)))
    return tuple(found)


ALLOW: Final = Kind(
    f"a dict of at most {PATHS_LIMIT} paths, each with a list of one to {VALUES_LIMIT} texts, integers, True or False",
    _allow,
)


def _kept(value: Any) -> tuple[tuple[str, Path], ...]:
    wanted(is_a(value, list, tuple) and len(value) <= KEPT_LIMIT and all(is_a(name, str) for name in value))
    found = tuple((str(name), parse_path(name)) for name in dict.fromkeys(value))
    if any(path.source == "answer" for _, path in found):
        raise Wrong('cannot look at "answer:", which is in the hands of the browser')
    return found


KEPT_CLAIMS: Final = Kind(f"a list of at most {KEPT_LIMIT} [paths](#rules)", _kept)


def _is_field(name: Any) -> bool:
    return is_a(name, str) and _FIELD_NAME.fullmatch(name) is not None


def user_fields(standard: Mapping[str, Rule]) -> Kind:
    """Fields of a user, each with a rule. The *standard* ones are there unless the value names them."""

    def read(value: Any) -> tuple[tuple[str, Rule], ...]:
        wanted(is_a(value, Mapping) and len(value) <= FIELDS_LIMIT and all(map(_is_field, value)))
        given = {str(name): parse(rule) for name, rule in value.items() if rule is not None}
        return tuple({**standard, **given}.items())

    return Kind(
        f"a dict of at most {FIELDS_LIMIT} fields of the user model, each with a [rule](#rules)", read
    )


def _sync_fields(value: Any) -> tuple[str, ...]:
    wanted(is_a(value, list, tuple) and len(value) <= FIELDS_LIMIT and all(map(_is_field, value)))
    return tuple(dict.fromkeys(value))


SYNC_FIELDS: Final = Kind(f"a list of at most {FIELDS_LIMIT} fields of the user model", _sync_fields)


def _group_map(value: Any) -> tuple[tuple[str, str], ...]:
    wanted(is_a(value, Mapping) and len(value) <= GROUPS_LIMIT)
    found = {text(GROUP_LIMIT).read(one): text(GROUP_LIMIT).read(name) for one, name in value.items()}
    wanted(all(found) and all(found.values()))
    return tuple(found.items())


GROUP_MAP: Final = Kind(
    f"a dict of at most {GROUPS_LIMIT} texts, each with the name of a group of this site", _group_map
)


def _sync(value: Any) -> Any:
    wanted(value in ("import", "update") or callable(value) or (is_a(value, str) and "." in value))
    return value


SYNC: Final = Kind("import, update, or a function or its dotted path", _sync)


def _legacy(value: Any) -> tuple[Rule, ...]:
    wanted(is_a(value, list, tuple) and len(value) <= LEGACY_LIMIT)
    found = tuple(parse(one) for one in value)
    for rule in found:
        check_subject(rule)
        if any("email" in path.segments for path in paths_of(rule)):
            raise Wrong("cannot be an address: equal addresses do not make one person")
    return found


LEGACY_SUBJECTS: Final = Kind(f"a list of at most {LEGACY_LIMIT} [rules](#rules)", _legacy)


def _accounts_of(value: Any) -> str | bool:
    return False if value is False else str(text().read(value))


ACCOUNTS_OF: Final = Kind("the name of a provider, or False", _accounts_of)
