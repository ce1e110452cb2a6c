"""Request and session ids in each line of the log, and lines of JSON.

A host puts :class:`RequestContext` and :class:`JsonFormatter` into ``LOGGING``. Without them, nothing changes.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final

from django.http import HttpRequest
from django.utils.functional import Promise

#: What a proxy may name a request by. Another text could forge a line.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class _Ids:
    request_id: str
    session_id: str = ""


_ids: ContextVar[_Ids | None] = ContextVar("lazyauth_log_ids", default=None)


@contextmanager
def of_request(request: HttpRequest) -> Iterator[None]:
    """Name the lines of the block by *request*: by its ``X-Request-ID``, or by a new id."""
    given = request.headers.get("X-Request-ID", "")
    token = _ids.set(_Ids(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex))
    try:
        yield
    finally:
        _ids.reset(token)


def note_session(session_id: object) -> None:
    """Name the further lines of this request by the session that it is about."""
    ids = _ids.get()
    if ids is not None and session_id is not None:
        ids.session_id = str(session_id)


class RequestContext(logging.Filter):
    """A filter that gives each record ``request_id`` and ``session_id``; empty where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        ids = _ids.get() or _Ids("")
        for name, value in (("request_id", ids.request_id), ("session_id", ids.session_id)):
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


#: What every record has. The others were given with ``extra``.
_OF_LOGGING: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


#: What is told by its text.
_TOLD: Final = (uuid.UUID, date, timedelta, Decimal, Promise, PurePath)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: time, level, logger, message, and what was given with ``extra``.

    Of an object that JSON cannot hold, its type is named: its text may hold a secret. Django gives the request, whose
    text has the query, and so the code of a callback (I13).
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        line |= {
            name: value
            for name, value in vars(record).items()
            if name not in _OF_LOGGING and value not in ("", None)
        }
        # Escaped, so that no character ends a line, and none has no encoding.
        return json.dumps(line, default=_words_for)


def _words_for(value: object) -> str:
    if isinstance(value, HttpRequest):
        return f"{value.method} {value.path}"
    return str(value) if isinstance(value, _TOLD) else type(value).__name__
