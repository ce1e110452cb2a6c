"""May this process take traffic? For load balancers and orchestrators: a status code, and no more than its reason.

Not ready while rows of earlier deployments wait to be migrated: nothing reads them on a request, so those sessions
would be asked to sign in again.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from django_lazyauth.legacy.migrate import identities_remain, tokens_remain

from .transactions import outside_transactions

#: Where it is noted that no identity waits, and for how many seconds: to find that out takes a look at each.
SETTLED: Final = "lazyauth:legacy-identities-settled"
SETTLED_SECONDS: Final = 60


def _identities_wait() -> bool:
    """Ask the database at most once a minute when nothing waits; whoever calls this need not be a friend."""
    try:
        if cache.get(SETTLED):
            return False
    except Exception:  # noqa: BLE001 - each cache has errors of its own; without one it only takes longer
        return identities_remain()
    if identities_remain():
        return True
    with suppress(Exception):
        cache.set(SETTLED, True, SETTLED_SECONDS)
    return False


WAITS: Final = {"legacy_tokens": tokens_remain, "legacy_identities": _identities_wait}


@login_not_required
@csrf_exempt
@outside_transactions
@never_cache
@require_safe
def ready_view(request: HttpRequest) -> HttpResponse:
    """200 or 503, with what is waited for: ``legacy_tokens``, ``legacy_identities``, ``database``, ``settings``."""
    try:
        waits = [name for name, is_waiting in WAITS.items() if is_waiting()]
    except DatabaseError:
        waits = ["database"]
    except ImproperlyConfigured:
        waits = ["settings"]
    status = HTTPStatus.SERVICE_UNAVAILABLE if waits else HTTPStatus.OK
    return JsonResponse({"ready": not waits, "waits_for": waits}, status=status)
