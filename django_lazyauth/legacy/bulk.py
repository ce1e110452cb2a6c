"""Write many bundles into the vault at once, each only where none exists, and read them back.

A written bundle is recognised by its ciphertext: sealing the same value twice gives different texts. This module opens
no transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import SealBroken
from django_lazyauth.vault.cipher import Cipher, get_cipher
from django_lazyauth.vault.places import place_of
from django_lazyauth.vault.read import SEALED_COLUMNS
from django_lazyauth.vault.store import columns_of
from django_lazyauth.vault.tokens import UpstreamBundle

from .insert_absent import Row, insert_absent

UNIQUE = ("session_id", "provider")


class Standing(Enum):
    """What the vault holds under the key of a bundle after the write."""

    WRITTEN = auto()
    #: An older bundle, which wins.
    EARLIER = auto()
    #: A bundle of another user or client.
    OTHERS = auto()
    #: A bundle that cannot be opened.
    UNREADABLE = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed bundle as a row."""

    row: Row

    @property
    def key(self) -> tuple[UUID, str]:
        return self.row["session_id"], self.row["provider"]


@sensitive_variables()
def seal_row(bundle: UpstreamBundle, *, retain_until: datetime) -> Sealed:
    """Return *bundle* as the row that :func:`write_absent` writes."""
    return Sealed(
        {
            "session_id": bundle.session_id,
            "provider": bundle.provider,
            "user_id": bundle.user_id,
            "client_id": bundle.client_id,
            "subject": bundle.subject,
            "is_dead": bundle.is_dead,
            "retain_until": retain_until,
            **columns_of(bundle),
        }
    )


def write_absent(bundles: Sequence[Sealed], *, model: type[Model], using: str) -> None:
    """Write each of *bundles* where none exists, in the caller's transaction."""
    insert_absent(model, [bundle.row for bundle in bundles], unique=UNIQUE, using=using)


def read_back(bundles: Sequence[Sealed], *, model: type[Model], using: str) -> list[Standing]:
    """Return what the vault holds under the key of each of *bundles*.

    An older bundle is opened, as its first use would do. A written bundle is compared with what was sealed.
    The first written one is opened too, which notices a cipher that cannot open what it sealed.
    """
    cipher = get_cipher()
    stored = _stored((bundle.key for bundle in bundles), model, using)
    standings: list[Standing] = []
    is_first = True
    for bundle in bundles:
        row = stored.get(bundle.key)
        standing = _standing(bundle, row)
        if row and (standing is Standing.EARLIER or (is_first and standing is Standing.WRITTEN)):
            is_first = is_first and standing is Standing.EARLIER
            standing = standing if _opens(bundle, row, cipher) else Standing.UNREADABLE
        standings.append(standing)
    return standings


def delete_unchanged(bundles: Iterable[Sealed], *, model: type[Model], using: str) -> None:
    """Delete those of *bundles* that are still exactly as they were written."""
    for bundle in bundles:
        as_written = {name: bundle.row[name] for name in (*UNIQUE, *SEALED_COLUMNS)}
        model._default_manager.using(using).filter(version=1, **as_written).delete()


def _stored(
    keys: Iterable[tuple[UUID, str]], model: type[Model], using: str
) -> Mapping[tuple[UUID, str], tuple[Any, ...]]:
    found: dict[tuple[UUID, str], tuple[Any, ...]] = {}
    for provider, group in groupby(sorted(keys, key=_provider), key=_provider):
        rows = model._default_manager.using(using).filter(
            provider=provider, session_id__in=[session_id for session_id, _ in group]
        )
        for session_id, *rest in rows.values_list("session_id", "user_id", "client_id", *SEALED_COLUMNS):
            found[session_id, provider] = tuple(rest)
    return found


def _provider(key: tuple[UUID, str]) -> str:
    return key[1]


def _standing(bundle: Sealed, stored: tuple[Any, ...] | None) -> Standing:
    if stored is None:
        return Standing.NOTHING
    row = bundle.row
    if stored[:2] != (row["user_id"], row["client_id"]):
        return Standing.OTHERS
    as_written = stored[2:] == tuple([row[column] for column in SEALED_COLUMNS])
    return Standing.WRITTEN if as_written else Standing.EARLIER


def _opens(bundle: Sealed, stored: tuple[Any, ...], cipher: Cipher) -> bool:
    session_id, provider = bundle.key
    try:
        for column, value in zip(SEALED_COLUMNS, stored[2:], strict=True):
            if value:
                cipher.open(value, place_of(session_id, provider, column))
    except SealBroken:
        return False
    return True
