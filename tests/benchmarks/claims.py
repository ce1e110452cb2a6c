"""The claims there are: every module here called ``claim_*`` holds one, as ``CLAIM``."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from . import __name__ as package
from . import __path__ as folders
from .harness import Claim


def all_claims() -> list[Claim]:
    """Return the claims in the order of their modules' names."""
    names = sorted(module.name for module in iter_modules(folders) if module.name.startswith("claim_"))
    return [import_module(f"{package}.{name}").CLAIM for name in names]
