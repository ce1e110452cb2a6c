"""System checks out of the table: a message for each name that is unknown and each value that is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured

from django_lazyauth.errors import LazyAuthError

from .kinds import nearest
from .setting import Refused, TooWeak, raw_settings, type_of
from .table import ROWS, lazyauth_settings


def unknown_names() -> Iterator[Error]:
    """Yield E002 for a ``LAZYAUTH`` that is no dict, and for each of its names that is no setting."""
    try:
        names = list(raw_settings())
    except ImproperlyConfigured as error:
        yield Error(str(error), id="lazyauth.E002")
        return
    for name in names:
        if type(name) is str and name in ROWS:
            continue
        # A name of another form may be a value in the wrong place, and a secret.
        is_name = type(name) is str and re.fullmatch(r"\w{1,60}", name)
        yield Error(
            f'LAZYAUTH["{name}"] is not a setting.'
            if is_name
            else "LAZYAUTH has a key that is not a setting.",
            hint=nearest(name, ROWS) or (None if is_name else f"The key is {type_of(name)}."),
            id="lazyauth.E002",
        )


def refused_values(names: Iterable[str] = ROWS, *, check_id: str = "") -> Iterator[Error]:
    """Yield an error for each of *names* that is set and refused, or required and missing.

    Args:
        check_id: Instead of the id that each row has.
    """
    try:
        raw = raw_settings()
    except ImproperlyConfigured:
        return  # E002 reports it.
    for name in names:
        if name not in raw and not ROWS[name].is_required:
            continue
        try:
            getattr(lazyauth_settings, name.lower())
        except TooWeak as weak:
            yield Error(str(weak), hint=weak.hint, id="lazyauth.E032")
        except Refused as refused:
            yield Error(str(refused), hint=refused.hint or None, id=check_id or ROWS[name].check_id)


def complaint(error: Exception) -> str:
    """Return the text of an error of ours. Another error's text may hold a secret, so its class stands for it."""
    text = str(error) if isinstance(error, (ImproperlyConfigured, LazyAuthError)) else ""
    return text or f"{type(error).__name__} was raised."


def readable(name: str) -> Any:
    """Return a setting by its attribute's name, ``None`` if its value is refused; E003 and the like report that."""
    try:
        return getattr(lazyauth_settings, name)
    except ImproperlyConfigured:
        return None
