"""Sites of different sizes, each a database of its own, that one process works at in turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from django.db import connection, connections

from tests.support.many_rows import Filled, fill

ALIAS = "default"


@dataclass(frozen=True)
class Site:
    """One database, and what was filled in."""

    wrapper: Any
    filled: Filled

    def open(self) -> AbstractContextManager[None]:
        """Work at this site. Its connection stays open in between."""
        return opened(self.wrapper)


@contextmanager
def opened(wrapper: Any) -> Iterator[None]:
    """Let *wrapper* be the connection of everything that runs."""
    before = connections[ALIAS]
    connections[ALIAS] = wrapper
    try:
        yield
    finally:
        connections[ALIAS] = before


@contextmanager
def migrated() -> Iterator[str]:
    """Make an empty, migrated database to copy, and yield its name."""
    name = connection.settings_dict["NAME"]
    made = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    try:
        yield made
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


@contextmanager
def copied(template: str, name: str) -> Iterator[Any]:
    """Copy the database *template*, to which nobody is connected, and yield a connection to the copy."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    wrapper = connections[ALIAS].copy()
    wrapper.settings_dict["NAME"] = name
    try:
        yield wrapper
    finally:
        wrapper.close()
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def sites(template: str, sizes: Sequence[int]) -> Iterator[list[Site]]:
    """Make and fill a site of each of *sizes*, and drop them."""
    if not sizes:
        yield []
        return
    with copied(template, f"{template}_{sizes[0]}") as wrapper:
        start = perf_counter()
        with opened(wrapper):
            made = Site(wrapper, _fill(sizes[0]))
        print(f"{sizes[0]:>9,} sessions were filled in in {perf_counter() - start:.0f} s", file=sys.stderr)
        with sites(template, sizes[1:]) as others:
            yield [made, *others]


def _fill(count: int) -> Filled:
    from .operations import register_clients

    filled = fill(count, application=register_clients())
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    return filled
