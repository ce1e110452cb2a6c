"""One row of the table of settings: how a value is read, and how it is refused.

Nothing is cached: a setting is read on each access, so ``override_settings`` works.
Not here: the kinds of values (:mod:`.kinds`) and the rows themselves (:mod:`.table`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Generic, Self, TypeVar, overload

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
MISSING: Any = object()


class Refused(ImproperlyConfigured):
    """A setting has a value that its row does not allow.

    The text names the setting and what it allows. It never holds the value of a text.

    Attributes:
        predicate: What is wrong, such as ``must be True or False``. Empty: the value is not of its kind.
        path: Names and positions that lead to the value within ``LAZYAUTH``.
        hint: What was found, and what may help.
    """

    def __init__(self, predicate: str = "", path: tuple[str | int, ...] = (), hint: str = "") -> None:
        self.predicate = predicate
        self.path = path
        self.hint = hint
        place = "".join(f'["{step}"]' if isinstance(step, str) else f"[{step}]" for step in path)
        super().__init__(f"LAZYAUTH{place} {predicate}.")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """The values that a setting allows.

    Attributes:
        words: The allowed values, such that "must be …" is a sentence. Bounds and unit are in it.
        read: Returns the value as the code uses it. It may raise anything for a wrong value; a :class:`Refused`
            may say more about it.
    """

    words: str
    read: Callable[[Any], T]


def read(kind: Kind[T], value: object, *path: str | int) -> T:
    """Return *value* as its kind reads it.

    Raises:
        Refused: It is not of this kind.
    """
    try:
        return kind.read(value)
    except Refused as refused:
        predicate = refused.predicate or f"must be {kind.words}"
        hint = refused.hint or f"It is {type_of(value)}."
        error, cause = Refused(predicate, (*path, *refused.path), hint), refused.__cause__
    except Exception:  # noqa: BLE001 - a value may be an object of the host, which raises what it likes.
        error, cause = Refused(f"must be {kind.words}", path, f"It is {type_of(value)}."), None
    raise error from cause


def type_of(value: object) -> str:
    """Return the type of *value* in words. A text could be a secret, so no value is shown."""
    if value is None:
        return "None"
    name = type(value).__name__[:60]
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


@dataclass(frozen=True, slots=True)
class DeployLimit:
    """The greatest value that ``check --deploy`` accepts."""

    at_most: timedelta | int
    check_id: str


#: The value of ``PROFILE`` for the FAPI 2.0 Security Profile.
FAPI2: Final = "fapi2"


def keeps_to_fapi2(raw: Mapping[str, Any]) -> bool:
    """Say whether ``PROFILE`` of these settings is ``"fapi2"``. An object of the host is not compared: it may raise."""
    profile = raw.get("PROFILE")
    return type(profile) is str and profile == FAPI2


class TooWeak(Refused):
    """A value that its row allows, and the profile of the site does not."""


@dataclass(frozen=True, slots=True)
class Strict(Generic[T]):
    """What a setting is with ``PROFILE = "fapi2"``.

    Attributes:
        default: The value where none is set, as a host would write it.
        allows: Whether a value is strong enough.
        words: What it must be, such that "must be …" is a sentence.
    """

    default: Any
    allows: Callable[[T], bool]
    words: str


class Setting(Generic[T]):
    """A descriptor: one name in ``settings.LAZYAUTH``, which is the attribute's own name in capitals.

    Args:
        kind: The allowed values.
        text: One or two sentences for the reference page, in Markdown.
        default: The value where none is set, as a host would write it. A callable returns it on each access.
        default_as: Name of the attribute whose value is the default.
        default_text: The default in words, where the value does not explain itself.
        required: There is no default.
        check_id: Id of the system check that reports a refused value.
        deploy: See :class:`DeployLimit`.
        fapi2: See :class:`Strict`. Without, the profile leaves the setting as it is.
    """

    name: str

    def __init__(
        self,
        kind: Kind[T],
        text: str,
        *,
        default: Any = MISSING,
        default_as: str = "",
        default_text: str = "",
        check_id: str = "lazyauth.E003",
        deploy: DeployLimit | None = None,
        fapi2: Strict[T] | None = None,
    ) -> None:
        self.kind = kind
        self.text = text
        self.raw_default = default
        self.default_as = default_as
        self.default_text = default_text
        self.check_id = check_id
        self.deploy = deploy
        self.fapi2 = fapi2

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.upper()

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        raw = raw_settings()
        value = raw.get(self.name, MISSING)
        if self.fapi2 is not None and keeps_to_fapi2(raw):
            return self._strict(self.fapi2, value)
        if value is not MISSING:
            return read(self.kind, value, self.name)
        if self.default_as:
            default: T = getattr(instance, self.default_as)
            return default
        if callable(self.raw_default):
            return read(self.kind, self.raw_default(), self.name)
        return self.default

    def _strict(self, strict: Strict[T], value: Any) -> T:
        """Return the value under the profile.

        Raises:
            TooWeak: It is weaker than the profile allows.
        """
        found = read(self.kind, strict.default if value is MISSING else value, self.name)
        if not strict.allows(found):
            hint = "Remove it: the profile sets it."
            raise TooWeak(f'must be {strict.words} with "PROFILE": "{FAPI2}"', (self.name,), hint)
        return found

    @property
    def is_required(self) -> bool:
        return self.raw_default is MISSING and not self.default_as

    @cached_property
    def default(self) -> T:
        """The default as the code uses it.

        Raises:
            Refused: The setting is required.
        """
        if self.is_required:
            raise Refused(f"is missing. It must be {self.kind.words}", (self.name,))
        return read(self.kind, self.raw_default, self.name)


def raw_settings() -> Mapping[str, Any]:
    """Return ``settings.LAZYAUTH`` as it is written.

    Raises:
        ImproperlyConfigured: It is not a dict.
    """
    try:
        value = getattr(settings, "LAZYAUTH", None)
        if type(value) is dict:  # The usual case, a dozen times per request.
            return value
        if value is None:
            return {}
        if issubclass(type(value), Mapping):
            return dict(value)
    except ImproperlyConfigured:
        raise  # There are no settings at all.
    except Exception:  # noqa: BLE001 - an object of the host raises what it likes.
        raise ImproperlyConfigured("LAZYAUTH must be a dict, and cannot be read as one.") from None
    raise ImproperlyConfigured(f"LAZYAUTH must be a dict. It is {type_of(value)}.")
