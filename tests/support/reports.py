"""What would be reported of a failure: Django's error reports as text and page, and every frame of the stack.

``stack_as_reported`` shows more than a report does: all frames that are running when a statement fails, also where the
error is caught later. What is clean here is clean in every report that is made of it, with or without its request.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.core.signals import got_request_exception
from django.template.defaultfilters import pprint
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

#: The frames of these are not the product's: a test knows the secrets that it sends.
OUTSIDE = ("/tests/", "/django/test/", "/_pytest/", "/pluggy/", "/threading.py")


def stack_as_reported() -> str:
    """Return the variables of all running frames, as Django's filter lets a report show them."""
    shown = []
    frame: FrameType | None = sys._getframe(1)
    reporter = SafeExceptionReporterFilter()
    while frame is not None:
        name = frame.f_code.co_filename
        if not any(part in name for part in OUTSIDE):
            for variable, value in reporter.get_traceback_frame_variables(None, frame):
                shown.append(f"{name}:{frame.f_lineno} {variable} = {pprint(value)}")
        frame = frame.f_back
    return "\n".join(shown)


def reports_of(error: BaseException, request: Any = None) -> list[str]:
    """Return what Django mails and shows of *error*, and what a log prints, chained exceptions included."""
    reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
    frames = [
        f"{frame['filename']}:{frame['lineno']} {variable} = {pprint(value)}"
        for frame in reporter.get_traceback_frames()
        if not any(part in frame["filename"] for part in OUTSIDE)
        for variable, value in frame["vars"]
    ]
    return [
        *frames,
        reporter.get_traceback_text() if request is not None else "",
        "".join(traceback.format_exception(error)),
    ]


@contextmanager
def reported() -> Iterator[list[str]]:
    """Collect the reports of all exceptions that reach Django meanwhile."""
    texts: list[str] = []

    def collect(sender: Any, request: Any = None, **values: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            texts.extend(reports_of(error, request))

    got_request_exception.connect(collect)
    try:
        yield texts
    finally:
        got_request_exception.disconnect(collect)
