"""How a request is read: always UTF-8, each parameter once and bounded.

Not here: what the answer looks like (:mod:`.page`, :mod:`.json_endpoint`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from django_lazyauth.errors import InvalidRequest
from django_lazyauth.kit.http import without_empty
from django_lazyauth.kit.text import are_sound

View = TypeVar("View", bound=Callable[..., Any])
#: Django raises these for a query or body that is too large or malformed, and where the client disconnects.
UNREADABLE = (SuspiciousOperation, BadRequest, MultiPartParserError, UnreadablePostError)
MAX_FIELD_LENGTH = 64 * 1024
#: What ``Content-Length`` holds (RFC 9110 §8.6). Python makes no number of more than 4300 digits.
LENGTH = re.compile(r"[0-9]{1,20}")
PURPOSE_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
SPECULATIVE_PURPOSES = ("prefetch", "prerender", "preview")


def is_speculative(request: HttpRequest) -> bool:
    """Say whether no person asked for this page: HEAD, or a browser that fetches ahead of a click.

    Browsers say so in ``Sec-Purpose`` (Fetch §3.6); older ones, proxies and scanners in the other headers.
    """
    if request.method == "HEAD":
        return True
    if request.method != "GET":
        return False
    purposes = " ".join(request.headers.get(name, "") for name in PURPOSE_HEADERS).lower()
    return any(word in purposes for word in SPECULATIVE_PURPOSES)


def hidden_from_reports(view: View) -> View:
    """Keep every form value, and every variable of *view* and of all that it calls, out of error reports (I13).

    What a request of ours carries, and what is made for it, is secret more often than not. A report names the
    exception and the lines.
    """
    hidden: View = sensitive_variables()(sensitive_post_parameters()(view))
    return hidden


def announced_length(request: HttpRequest) -> int:
    """Return how many bytes of body a request announces; 0 where it announces none.

    Raises:
        BadRequest: That is no number of bytes (RFC 9112 §6.3). Not every server looks, and Django raises
            ``ValueError`` where it first needs the body.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not LENGTH.fullmatch(length):
        # Django reads nothing of such a body. Whoever asks for the form later gets an empty one.
        request.META["CONTENT_LENGTH"] = "0"
        raise BadRequest("Content-Length is no number of bytes.")
    return int(length)


def read_body(request: HttpRequest) -> None:
    """Read the query and the form now, as UTF-8, and ignore the charset that the request names (RFC 6749 Appendix B).

    Django would decode with that charset. Some codecs of Python make lone surrogates, and no URL can hold those.

    Raises:
        Exception: One of :data:`UNREADABLE`. No later access to the form raises.
    """
    announced_length(request)
    if request.encoding is not None:
        request.encoding = "utf-8"
    request.GET.keys()
    request.POST.keys()


def read_parameters(request: HttpRequest, max_lengths: Mapping[str, int]) -> dict[str, str]:
    """Return the named parameters of the form of a POST, or of the query; others are ignored.

    Raises:
        InvalidRequest: A parameter is repeated, too long, or holds bad characters.
    """
    given = without_empty(request.POST if request.method == "POST" else request.GET)
    parameters = {}
    for name, max_length in max_lengths.items():
        values = given.getlist(name)
        if len(values) > 1:
            raise InvalidRequest(f"Duplicate {name} parameter.")
        if not are_sound(values, max_length=max_length):
            raise InvalidRequest(f"Invalid {name} parameter value.")
        if values:
            parameters[name] = values[0]
    return parameters


def form_is_sound(request: HttpRequest) -> bool:
    """Say whether a database and a page can hold every name and value of the posted form."""
    return all(
        are_sound([name, *values], max_length=MAX_FIELD_LENGTH) for name, values in request.POST.lists()
    )
