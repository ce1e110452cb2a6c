"""The languages that the pages speak."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

#: The language of the sources.
SOURCE: Final = "en"


@cache
def shipped() -> frozenset[str]:
    """Return the languages that the pages are translated to, as Django names them: ``en``, ``pt-br``, ``zh-hans``."""
    folders = (Path(__file__).parents[1] / "locale").iterdir()
    return frozenset({SOURCE} | {folder.name.replace("_", "-").lower() for folder in folders})


def spoken() -> frozenset[str]:
    """Return those of them that the site has not left out of ``LANGUAGES``."""
    return shipped() & {code.lower() for code, _name in settings.LANGUAGES}
