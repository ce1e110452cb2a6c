"""What a person reads of the browser that began a session: its name and its system, and nothing more.

The header itself is not kept. It would tell one person's browser from another's, and nobody reads it.
"""

from __future__ import annotations

import re
from typing import Final

from django.http import HttpRequest
from django.utils.translation import gettext as _

#: The first that is found counts: each later one also claims to be what stands further down.
_BROWSERS: Final = {
    "Edge": r"Edg(e|A|iOS)?/",
    "Opera": r"OPR/|Opera",
    "Samsung Internet": r"SamsungBrowser/",
    "Firefox": r"Firefox/|FxiOS/",
    "Chrome": r"Chrome/|CriOS/|Chromium/",
    "Safari": r"Safari/",
}
_SYSTEMS: Final = {
    "Android": r"Android",
    "iPhone": r"iPhone",
    "iPad": r"iPad",
    "ChromeOS": r"CrOS",
    "Windows": r"Windows",
    "macOS": r"Mac OS X|Macintosh",
    "Linux": r"Linux",
}
#: Characters of a header that are looked at.
_READ: Final = 512


def agent_of(request: HttpRequest) -> str:
    """Return ``<browser>/<system>`` in names of ours; a part that is not known is empty."""
    header = request.headers.get("User-Agent", "")[:_READ]
    parts = (_first(_BROWSERS, header), _first(_SYSTEMS, header))
    return "/".join(parts) if any(parts) else ""


def _first(names: dict[str, str], header: str) -> str:
    return next((name for name, pattern in names.items() if re.search(pattern, header)), "")


def agent_words(agent: str) -> str:
    """Return what :func:`agent_of` found as words in the active language; empty where nothing is known."""
    browser, _slash, system = agent.partition("/")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system
