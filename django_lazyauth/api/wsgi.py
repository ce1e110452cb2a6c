"""``UpstreamSwap`` for WSGI servers: ``application = UpstreamSwap(tool_server, paths={"/tools/": "github"})``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import SwapSettings
from django_lazyauth.upstream.swap import (
    AMBIGUOUS,
    Decision,
    Passed,
    Refused,
    Swap,
    decide,
    is_custom,
    is_ours_to_set,
    is_the_clients,
    provider_for,
)
from django_lazyauth.upstream.swap_paths import AmbiguousPath


class UpstreamSwap(Swap):
    """Replace our token in a request by the upstream's; see :mod:`django_lazyauth.upstream.swap`."""

    @sensitive_variables()
    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        settings = self.settings
        try:
            provider = _provider(environ, settings)
        except AmbiguousPath:
            decision: Decision = AMBIGUOUS
        else:
            if provider is None:
                return self.app(environ, start_response)  # type: ignore[no-any-return]  # the wrapped app is anybody's
            decision = decide(WSGIRequest(dict(environ)), provider, settings)
        if isinstance(decision, Refused):
            start_response(f"{decision.status.value} {decision.status.phrase}", decision.all_headers)
            return [decision.body]
        kept = {
            name: value
            for name, value in environ.items()
            if not name.startswith("HTTP_")
            or not is_ours_to_set(name.removeprefix("HTTP_"), settings)
            or (isinstance(decision, Passed) and is_the_clients(name.removeprefix("HTTP_")))
        }
        if not isinstance(decision, Passed):
            kept["HTTP_" + settings.header.upper().replace("-", "_")] = decision.value
        elif not is_custom(settings):
            kept = environ
        return self.app(kept, start_response)  # type: ignore[no-any-return]  # the wrapped app is anybody's


def _provider(environ: dict[str, Any], settings: SwapSettings) -> str | None:
    """Return the provider for the path below where the app is mounted.

    Raises:
        AmbiguousPath: See :func:`provider_for`.
    """
    path, mount = (
        environ.get(name, "").encode("latin-1").decode(errors="replace")
        for name in ("PATH_INFO", "SCRIPT_NAME")
    )
    return provider_for(path, settings, mount=mount, raw_path=_raw_path(environ))


def _raw_path(environ: dict[str, Any]) -> str | None:
    """Return the path as it was sent. gunicorn and waitress tell it, uWSGI and mod_wsgi by the other name."""
    sent = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if sent is None:
        return None
    return re.sub(r"^https?://[^/?]*", "", str(sent), flags=re.IGNORECASE).partition("?")[0]
