"""Compressed answers of servers that the operator chose (RFC 9110 §8.4.1)."""

from __future__ import annotations

import zlib
from typing import Final

from .answer import FetchError

#: What a request says that it can read.
ACCEPTED: Final = "gzip, deflate"
#: Bytes of an answer for each byte that was sent. JSON reaches 20.
RATIO: Final = 100
#: Content coding → window bits of the forms that servers mean by it: "deflate" has a header or not.
_FORMS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


def inflate(body: bytes, coding: str, limit: int) -> bytes:
    """Return *body* as it was before its server compressed it.

    Args:
        body: What was received.
        coding: The value of ``Content-Encoding``.
        limit: Bytes of the result.

    Raises:
        FetchError: ``encoding``: another coding. ``too_large``: beyond the limit, or 100 times what was received.
            ``broken``: not compressed so, or cut off.
    """
    forms = _FORMS.get(coding.strip().lower())
    if forms is None:
        raise FetchError("encoding")
    most = min(limit, RATIO * len(body))
    for bits in forms:
        inflater = zlib.decompressobj(bits)
        try:
            found = inflater.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(found) > most:
            raise FetchError("too_large")
        if not inflater.eof or inflater.unused_data:
            raise FetchError("broken")
        return found
    raise FetchError("broken")
