"""Ask through a browser elsewhere: show a code, and ask the server until somebody typed it (RFC 8628)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..answers import ask, is_safe
from ..errors import LoginFailed, NoAnswer, TokenRefused
from .discovery import Server
from .loopback import Request
from .registration import DEVICE_CODE

#: Seconds between two questions, where the server does not say (RFC 8628 §3.2), and at most.
_INTERVAL: Final = 5.0
_LONGEST_INTERVAL: Final = 60.0
#: Characters of what is shown in the terminal.
_SHOWN: Final = 2_000


def ask_by_device(
    server: Server, wanted: Request, *, tell: Callable[[str], object], seconds: float
) -> tuple[dict[str, Any], float]:
    """Return the answer of the token endpoint once a person has allowed it, and when it was asked.

    Args:
        server: Whom to ask.
        wanted: What to ask for.
        tell: Called once with what the person has to do.
        seconds: How long to wait at most. The code may end before.

    Raises:
        LoginFailed: They said no, or nothing in time, or the server has no such sign-in.
        TokenRefused, NoAnswer: The server refused to give a code.
    """
    endpoint = server.device_authorization_endpoint
    if endpoint is None:
        raise LoginFailed("The server signs in nobody by device code.", reason="no_device_endpoint")
    asked = ask(endpoint, wanted.fields(server), client=wanted.client)
    code, page, typed = (asked.get(name) for name in ("device_code", "verification_uri", "user_code"))
    if not isinstance(code, str) or not is_safe(page) or not _is_shown(page) or not _is_shown(typed):
        raise LoginFailed("The server gave no code that can be shown.", reason="bad_answer")
    tell(f"Open {page} and type the code {typed}")
    until = time.monotonic() + min(seconds, _number(asked, "expires_in", seconds))
    interval = min(_number(asked, "interval", _INTERVAL), _LONGEST_INTERVAL)
    form = {"grant_type": DEVICE_CODE, "device_code": code}
    while time.monotonic() + interval < until:
        time.sleep(interval)
        asked_at = time.time()
        try:
            return ask(server.token_endpoint, form, client=wanted.client, key=wanted.key), asked_at
        except NoAnswer:
            # RFC 8628 §3.5: a server that does not answer is asked less often.
            interval = min(interval * 2, _LONGEST_INTERVAL)
        except TokenRefused as error:
            if error.reason == "slow_down":
                interval += 5
            elif error.reason != "authorization_pending":
                raise LoginFailed(str(error), reason=error.reason) from None
    raise LoginFailed("Nobody answered in time.", reason="timeout")


def _is_shown(text: object) -> bool:
    """Say whether *text* can stand in a terminal, and does nothing to it."""
    return isinstance(text, str) and 0 < len(text) <= _SHOWN and text.isprintable()


def _number(answer: Mapping[str, Any], name: str, default: float) -> float:
    value = answer.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if is_number and value is not None else default
