"""Do what the waiting page does: look again until it is over."""

from __future__ import annotations

import time

from tests.support.journey import get


def follow_waiting(browser, response, *, seconds: float = 10):
    """Follow redirects of our own site and reload the waiting page, as a browser without scripts does."""
    ends_at = time.monotonic() + seconds
    url = None
    while time.monotonic() < ends_at:
        if response.status_code == 303 and response.headers["Location"].startswith("/"):
            url = response.headers["Location"]
        elif response.status_code == 202:
            assert response.headers["Retry-After"] in ("2", "4", "8")
            url = url or response.wsgi_request.get_full_path()
            time.sleep(0.05)
        else:
            return response
        response = get(browser, url)
    raise AssertionError("still waiting")
