"""The language of a page: always one that is shipped whole, so that no page mixes two.

A page names the language that its text is in, and never one that the browser asked for and nobody translated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from django_lazyauth.conf.languages import SOURCE, spoken

#: Tags of a request that are looked at.
MAX_TAGS: Final = 10
#: Languages whose readers know one of ours.
_NEAR: Final = {"pt": "pt-br", "zh": "zh-hans"}


def language_of(request: HttpRequest | None, ui_locales: str = "") -> str:
    """Return the language of a page (OpenID Connect Core §3.1.2.1, RFC 9110 §12.5.4).

    The first of these that is shipped: *ui_locales*, what the site chose for the request, what the browser asks
    for, the site's own language; else English.
    """
    for tag in ui_locales.split()[:MAX_TAGS]:
        if found := _spoken(tag):
            return found
    if found := _spoken(translation.get_language() or ""):
        return found
    for tag in _accepted(request):
        if found := _spoken(tag):
            return found
    return _spoken(settings.LANGUAGE_CODE) or SOURCE


def speaking(request: HttpRequest | None, ui_locales: str = "") -> translation.override:
    """Use :func:`language_of` inside the ``with`` block."""
    return translation.override(language_of(request, ui_locales))


def _spoken(tag: str) -> str:
    """Return the language of ours that a reader of *tag* reads, if the site has not left it out; else nothing."""
    try:
        known = translation.get_supported_language_variant(tag.lower())
    except LookupError:
        known = ""
    allowed = spoken()
    main = tag.partition("-")[0].lower()
    # A reader of Traditional Chinese is not served by Simplified.
    near = _NEAR.get(main, "") if "hant" not in known else ""
    return next((found for found in (known, known.partition("-")[0], near) if found in allowed), "")


def _accepted(request: HttpRequest | None) -> Iterator[str]:
    """Yield the tags of ``Accept-Language``, the most wanted first."""
    header = request.headers.get("Accept-Language", "") if request is not None else ""
    wanted = []
    for part in header[:500].split(",")[:MAX_TAGS]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), tag.strip()))
        except ValueError:
            continue
    wanted.sort(key=lambda pair: pair[0])
    yield from (tag for weight, tag in wanted if weight < 0)
