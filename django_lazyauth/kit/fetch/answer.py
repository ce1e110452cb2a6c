"""The answer of another server, or why there is none."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_lazyauth.errors import LazyAuthError

#: Levels of arrays and objects in a JSON answer. Real documents have four.
JSON_DEPTH_LIMIT = 32


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
