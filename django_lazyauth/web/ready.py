"""May this process take traffic? The answer for load balancers and orchestrators: a status code and its reason.

Not here: what the process waits for. Rooms register their probes in ``kit/readiness``.
"""

from __future__ import annotations

from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from django_lazyauth.kit.readiness import waits_for

from .transactions import outside_transactions


@login_not_required
@csrf_exempt
@outside_transactions
@never_cache
@require_safe
def ready_view(request: HttpRequest) -> HttpResponse:
    """Answer 200, or 503 with what the process waits for: ``legacy_tokens``, ``legacy_identities``, ``database``,
    ``settings``.
    """
    try:
        waits = waits_for()
    except DatabaseError:
        waits = ["database"]
    except ImproperlyConfigured:
        waits = ["settings"]
    status = HTTPStatus.SERVICE_UNAVAILABLE if waits else HTTPStatus.OK
    return JsonResponse({"ready": not waits, "waits_for": waits}, status=status)
