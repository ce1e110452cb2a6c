"""Modules of django-oauth-toolkit that its next release moves. There the old path works and warns."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def dot_module(name: str, *, moves_to: str) -> Any:
    """Return the module ``oauth2_provider.<name>``, from where the installed release has it.

    Args:
        moves_to: The package in which the next release has it.
    """
    is_moved = find_spec(f"oauth2_provider.{moves_to}") is not None
    return import_module(f"oauth2_provider.{moves_to}.{name}" if is_moved else f"oauth2_provider.{name}")
