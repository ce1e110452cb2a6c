"""``UpstreamSwap`` for WSGI servers: ``application = UpstreamSwap(tool_server, paths={"/tools/": "github"})``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.upstream.swap import (
    AMBIGUOUS,
    AmbiguousPath,
    Decision,
    Passed,
    Refused,
    Swap,
    decide,
    is_custom,
    is_ours_to_set,
    provider_for,
)


class UpstreamSwap(Swap):
    """Replace our token in a request by the upstream's; see :mod:`django_lazyauth.upstream.swap`."""

    @sensitive_variables()
    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        settings = self.settings
        path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
        try:
            provider = provider_for(path, settings)
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
            or (isinstance(decision, Passed) and name == "HTTP_AUTHORIZATION")
        }
        if not isinstance(decision, Passed):
            kept["HTTP_" + settings.header.upper().replace("-", "_")] = decision.value
        elif not is_custom(settings):
            kept = environ
        return self.app(kept, start_response)  # type: ignore[no-any-return]  # the wrapped app is anybody's
