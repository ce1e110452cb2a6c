"""The answer of another server, or why there is none."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django_lazyauth.errors import LazyAuthError

#: Levels of arrays and objects in a JSON answer. Real documents have four.
JSON_DEPTH_LIMIT = 32
#: Characters of a location that an operator is told.
LOCATION_LIMIT = 200


class FetchError(LazyAuthError):
    """There is no usable answer. ``reason`` is one short word, safe to log and to show.

    ``url`` malformed · ``not_https`` · ``dns`` the name does not resolve · ``address`` a target that the
    policy refuses · ``connect`` · ``tls`` · ``timeout`` the deadline passed · ``too_large`` · ``encoding``
    compressed as we did not ask for · ``broken`` not HTTP, or cut off · ``not_json`` · ``status`` for callers that
    expected another one.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer.

    Attributes:
        status: HTTP status; redirects are answers like any other.
        headers: By lower-case name; repeated ones are joined with commas (RFC 9110 §5.2).
        body: No more bytes than the caller allowed.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return self.status == http.HTTPStatus.OK

    def location(self, *, with_path: bool = True) -> str:
        """Return where a redirect leads, for an operator: scheme, host and path. Empty if this is none.

        Args:
            with_path: Not where the path of the request held a secret, which the location may repeat.
        """
        if not 300 <= self.status < 400 or self.status == http.HTTPStatus.NOT_MODIFIED:
            return ""
        try:
            parts = urlsplit(self.headers.get("location", ""))
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return "elsewhere"
        origin = f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else ""
        found = (origin + (parts.path if with_path else ""))[:LOCATION_LIMIT]
        shown = "".join(one if one.isascii() and one.isprintable() else "?" for one in found)
        return shown or "elsewhere"

    def json(self, *, max_depth: int = JSON_DEPTH_LIMIT) -> Any:
        """Return the body as JSON (RFC 8259: UTF-8, no NaN).

        Raises:
            FetchError: ``not_json``: the body is something else, or nested deeper than *max_depth* levels.
        """
        try:
            value = json.loads(self.body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise FetchError("not_json") from None
        if _depth_exceeds(value, max_depth):
            raise FetchError("not_json")
        return value

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            FetchError: ``not_json``: anything else.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise FetchError("not_json")
        return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True
