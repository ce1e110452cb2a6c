"""How parameters come in: always UTF-8, and what it takes for a body to be unreadable."""

from __future__ import annotations

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError

#: What Django raises on reading a query or body that is too large, broken, or breaks off.
UNREADABLE = (SuspiciousOperation, BadRequest, MultiPartParserError, UnreadablePostError)


def read_as_utf8(request: HttpRequest) -> None:
    """Ignore the charset that a request names (RFC 6749 Appendix B).

    Django would decode with it, and some codecs of Python make lone surrogates, which no URL can hold.
    """
    if request.encoding is not None:
        request.encoding = "utf-8"
