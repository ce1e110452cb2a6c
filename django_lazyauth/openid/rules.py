"""Rules: where in the documents of a provider a value is.

A rule is a path, a list of rules of which the first usable value counts, ``{"value": constant}`` or
``{"join": [paths], "with": " ", "all": False}``. A path is ``[source:]`` and segments: ``name``,
``["any.name/at all"]``, ``[0]``, ``[*]`` (each), ``[primary=true]`` (the first item with that member).

A rule is parsed when the configuration is read. Its evaluation raises nothing, whatever JSON it meets.

Not here: which keys hold rules (:mod:`.provider_settings`), and what makes a value usable as an address or a name
(:mod:`django_lazyauth.providers.profile`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from django_lazyauth.kit.text import has_bad_characters

from .provider_kinds import IDENTIFIER_LIMIT, Wrong, is_a

PATH_LIMIT: Final = 200
SEGMENT_LIMIT: Final = 8
#: Rules of one value, in lists and joins.
RULE_LIMIT: Final = 16
#: The documents that a path may begin with. Without one: the ID token, then UserInfo.
SOURCES: Final = ("id_token", "userinfo", "token", "answer")

_SOURCE: Final = re.compile(r"([A-Za-z_]+):")
_NAME: Final = re.compile(r"[A-Za-z0-9_@$-]+")
_SEGMENT: Final = re.compile(
    r"""(?P<name>[A-Za-z0-9_@$-]+)
    |\["(?P<quoted>[^"\\\x00-\x1f]+)"\]
    |\[(?P<index>[0-9]{1,4})\]
    |\[(?P<each>\*)\]
    |\[(?P<member>[A-Za-z0-9_@$-]+)=(?:(?P<word>true|false)|(?P<number>-?[0-9]{1,18})|"(?P<text>[^"\\\x00-\x1f]*)")\]
    """,
    re.VERBOSE,
)
#: An integer of more digits than a subject may have is none.
_SUBJECT_BOUND: Final = 10**IDENTIFIER_LIMIT


# --- Values -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Each:
    """``[*]``: every item of a list."""


@dataclass(frozen=True, slots=True)
class Where:
    """``[primary=true]``: the first item of a list whose member is that value, of the same type."""

    member: str
    value: str | int | bool


Segment = str | int | Each | Where


@dataclass(frozen=True, slots=True)
class Path:
    """One place. ``source`` is empty where the path names none."""

    source: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """The values of several places as one text."""

    paths: tuple[Path, ...]
    separator: str
    needs_all: bool


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value for everybody."""

    value: str | int | bool


Rule = Path | Join | Constant | tuple["Path | Join | Constant", ...]


@dataclass(frozen=True, slots=True)
class Documents:
    """What a provider said about one person: JSON of any shape."""

    id_token: Any = field(default=None, repr=False)
    userinfo: Any = field(default=None, repr=False)
    token: Any = field(default=None, repr=False)
    answer: Any = field(default=None, repr=False)

    def only(self, source: str) -> Documents:
        """Return these documents without all others."""
        return replace(Documents(), **{source: getattr(self, source)})


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and the document that it is from; empty for a constant, and for a join of several documents."""

    value: Any = field(repr=False)
    source: str


# --- Evaluation -------------------------------------------------------------------------------------------


def find(rule: Rule, documents: Documents) -> Iterator[Found]:
    """Yield the values of *rule*, the preferred one first. ``null`` is no value."""
    match rule:
        case Constant(value):
            yield Found(value, "")
        case Path():
            yield from _at(rule, documents)
        case Join():
            yield from _joined(rule, documents)
        case _:
            for one in rule:
                yield from find(one, documents)


def _at(path: Path, documents: Documents) -> Iterator[Found]:
    for source in (path.source,) if path.source else ("id_token", "userinfo"):
        value = _walk(getattr(documents, source), path.segments)
        if value is not None:
            yield Found(value, source)


def _walk(value: Any, segments: tuple[Segment, ...]) -> Any:
    """Return what is at the end of *segments*; ``None`` where nothing is."""
    for place, segment in enumerate(segments):
        match segment:
            case str():
                value = value.get(segment) if is_a(value, dict) else None
            case int():
                value = value[segment] if is_a(value, list) and segment < len(value) else None
            case Where():
                value = next((item for item in _items(value) if _matches(item, segment)), None)
            case Each():
                ends = (_walk(item, segments[place + 1 :]) for item in _items(value))
                return [end for end in ends if end is not None] or None
        if value is None:
            return None
    return value


def _items(value: Any) -> list[Any]:
    return value if is_a(value, list) else []


def _matches(item: Any, where: Where) -> bool:
    found = item.get(where.member) if is_a(item, dict) else None
    return type(found) is type(where.value) and found == where.value


def _joined(join: Join, documents: Documents) -> Iterator[Found]:
    """Yield the text of each document by itself where no path names one, so that no text mixes two people."""
    names_none = not any(path.source for path in join.paths)
    for scope in ("id_token", "userinfo") if names_none else ("",):
        found = [_part(path, documents.only(scope) if scope else documents) for path in join.paths]
        parts = [one for one in found if one is not None]
        if parts and (len(parts) == len(found) or not join.needs_all):
            sources = {one.source for one in parts}
            text = join.separator.join(one.value for one in parts)
            yield Found(text, sources.pop() if len(sources) == 1 else "")


def _part(path: Path, documents: Documents) -> Found | None:
    for one in _at(path, documents):
        text = as_text(one.value)
        if text:
            return Found(text, one.source)
    return None


def as_text(value: Any) -> str:
    """Return a text, or an integer in decimal digits; empty for anything else."""
    if is_a(value, int) and not is_a(value, bool) and abs(value) < _SUBJECT_BOUND:
        return str(value)
    return str(value) if is_a(value, str) else ""


def find_subject(rule: Rule, documents: Documents) -> str:
    """Return who a person is for ever: the first usable value of *rule*; empty where there is none.

    A value is usable if it is a text or an integer of at most 255 characters. Of a join all parts must be there, and
    only the last may hold the separator: else two people could get one text.
    """
    for one in rule if isinstance(rule, tuple) else (rule,):
        if isinstance(one, Join) and not _is_unambiguous(one, documents):
            continue
        for found in find(one, documents):
            text = as_text(found.value)
            if 0 < len(text) <= IDENTIFIER_LIMIT and not has_bad_characters(text):
                return text
    return ""


def _is_unambiguous(join: Join, documents: Documents) -> bool:
    leading = [_part(path, documents) for path in join.paths[:-1]]
    return not any(part is not None and join.separator in part.value for part in leading)


def is_one_of(truthy: Collection[Any], value: Any) -> bool:
    """Say whether *value* is one of *truthy*, of the same type: 1 is not True."""
    return any(type(value) is type(one) and value == one for one in truthy)


def written(rule: Rule) -> Any:
    """Return *rule* as JSON of the configuration. Equal rules are written alike, however the operator wrote them."""
    match rule:
        case Path():
            return (f"{rule.source}:" if rule.source else "") + "".join(map(_written, rule.segments)).lstrip(
                "."
            )
        case Join(paths, separator, needs_all):
            return {"join": [written(path) for path in paths], "with": separator, "all": needs_all}
        case Constant(value):
            return {"value": value}
        case _:
            return [written(one) for one in rule]


def _written(segment: Segment) -> str:
    match segment:
        case str():
            return f".{segment}" if _NAME.fullmatch(segment) else f'["{segment}"]'
        case int():
            return f"[{segment}]"
        case Each():
            return "[*]"
        case Where(member, value):
            return f"[{member}={json.dumps(value, ensure_ascii=False)}]"


def paths_of(rule: Rule) -> tuple[Path, ...]:
    match rule:
        case Path():
            return (rule,)
        case Join():
            return rule.paths
        case Constant():
            return ()
        case _:
            return tuple(path for one in rule for path in paths_of(one))


# --- Parsing ----------------------------------------------------------------------------------------------


def parse(value: Any) -> Rule:
    """Return *value* of the configuration as a rule.

    Raises:
        Wrong: It is none.
    """
    if not is_a(value, list, tuple):
        return _one(value)
    found: list[Path | Join | Constant] = []
    for item in value:
        parsed = parse(item)
        found += parsed if isinstance(parsed, tuple) else [parsed]
    if not 0 < len(found) <= RULE_LIMIT:
        raise Wrong(f"must have one to {RULE_LIMIT} rules")
    return tuple(found) if len(found) > 1 else found[0]


def _one(value: Any) -> Path | Join | Constant:
    if is_a(value, str):
        return parse_path(str(value))
    if not is_a(value, Mapping):
        raise Wrong("must be a path, a list of rules, or a dict with join or value")
    if set(value) == {"value"}:
        constant = value["value"]
        if not is_a(constant, str, int):
            raise Wrong('"value" must be a text, an integer, True or False')
        return Constant(constant)
    return _join(value)


def _join(value: Mapping[Any, Any]) -> Join:
    names = ("join", "with", "all", "value")
    for key in value:
        if key not in names[:3]:
            close = (
                get_close_matches(key, names, n=1, cutoff=0.6) if is_a(key, str) and key not in names else []
            )
            shown = f'unknown key "{key[:64]}"' if is_a(key, str) else "a key that is no text"
            raise Wrong(f"holds {shown}" + (f'; did you mean "{close[0]}"?' if close else ""))
    paths: Any = value.get("join")
    separator, needs_all = value.get("with", " "), value.get("all", False)
    if not is_a(paths, list, tuple) or not 0 < len(paths) <= RULE_LIMIT:
        raise Wrong(f'"join" must be a list of one to {RULE_LIMIT} paths')
    if not is_a(separator, str) or len(separator) > 16 or not separator.isprintable():
        raise Wrong('"with" must be a text of at most 16 characters')
    if needs_all is not True and needs_all is not False:
        raise Wrong('"all" must be True or False')
    if not all(is_a(path, str) for path in paths):
        raise Wrong('"join" must be a list of paths')
    return Join(tuple(parse_path(str(path)) for path in paths), separator, needs_all)


@lru_cache(maxsize=512)
def parse_path(text: str) -> Path:
    """
    Raises:
        Wrong: It is no path. The hint names the position, not the text.
    """
    if not 0 < len(text) <= PATH_LIMIT:
        raise Wrong(f"must be a path of 1 to {PATH_LIMIT} characters")
    source, place = "", 0
    if named := _SOURCE.match(text):
        source, place = named[1], named.end()
        if source not in SOURCES:
            raise Wrong(f"must begin with one of {', '.join(SOURCES)} before its colon")
    segments: list[Segment] = []
    while place < len(text):
        # A name follows a dot, unless it is the first segment. A bracket stands without one.
        if segments and text[place] == "." and text[place + 1 : place + 2] not in ("", "["):
            place += 1
        elif segments and text[place] != "[":
            raise Wrong(f"is no path at character {place + 1}")
        found = _SEGMENT.match(text, place)
        if found is None:
            raise Wrong(f"is no path at character {place + 1}")
        segments.append(_segment(found))
        place = found.end()
    if not 0 < len(segments) <= SEGMENT_LIMIT:
        raise Wrong(f"must be a path of 1 to {SEGMENT_LIMIT} segments")
    return Path(source, tuple(segments))


def _segment(found: re.Match[str]) -> Segment:
    if name := found["name"] or found["quoted"]:
        return name
    if found["index"]:
        return int(found["index"])
    if found["each"]:
        return Each()
    if found["word"]:
        return Where(found["member"], found["word"] == "true")
    return Where(found["member"], int(found["number"]) if found["number"] else found["text"])


def reader(
    *, sources: Collection[str] = SOURCES, check: Callable[[Rule], None] | None = None
) -> Callable[[Any], Rule]:
    """Return the ``read`` function of a key that is a rule.

    Args:
        sources: The sources that its paths may name.
        check: Raises :class:`Wrong` for a rule that this key cannot be.
    """

    def read(value: Any) -> Rule:
        rule = parse(value)
        for path in paths_of(rule):
            if path.source and path.source not in sources:
                raise Wrong(f'cannot be of "{path.source}:"')
        if check is not None:
            check(rule)
        return rule

    return read


def check_subject(rule: Rule) -> None:
    """
    Raises:
        Wrong: The rule could give two people one subject.
    """
    for one in rule if isinstance(rule, tuple) else (rule,):
        if isinstance(one, Constant):
            raise Wrong('cannot be a "value": everybody would be one person')
        if isinstance(one, Join) and not (one.needs_all and one.separator):
            raise Wrong('needs "all": True and a text "with" in a join: else two people could be one')
