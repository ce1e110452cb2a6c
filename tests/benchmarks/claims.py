"""The claims there are: every module here called ``claim_*`` holds one, as ``CLAIM``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

from . import __name__ as package
from . import __path__ as folders
from .harness import Claim


def all_claims(wanted: Sequence[str] = ()) -> list[Claim]:
    """Return the claims in the order of their modules' names: those *wanted* (``http_refresh``), or all."""
    names = sorted(module.name for module in iter_modules(folders) if module.name.startswith("claim_"))
    chosen = [name for name in names if not wanted or name.removeprefix("claim_") in wanted]
    return [import_module(f"{package}.{name}").CLAIM for name in chosen]
