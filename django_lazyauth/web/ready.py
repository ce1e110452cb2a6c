"""May this process take traffic? For load balancers and orchestrators: a status code, and no more than its reason.

Not ready while rows of earlier deployments wait to be migrated: nothing reads them on a request, so those sessions
would be asked to sign in again.
"""

from __future__ import annotations

from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from django_lazyauth.flows.migrate_legacy import rows_remain


@login_not_required
@csrf_exempt
@transaction.non_atomic_requests
@never_cache
@require_safe
def ready_view(request: HttpRequest) -> HttpResponse:
    """200 or 503, with what is waited for: ``legacy_tokens``, ``legacy_identities``, ``database``, ``settings``."""
    try:
        waits = [f"legacy_{kind}" for kind in rows_remain()]
    except DatabaseError:
        waits = ["database"]
    except ImproperlyConfigured:
        waits = ["settings"]
    status = HTTPStatus.SERVICE_UNAVAILABLE if waits else HTTPStatus.OK
    return JsonResponse({"ready": not waits, "waits_for": waits}, status=status)
