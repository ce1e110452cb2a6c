"""The metadata of a resource on a site that is not the issuer's own (RFC 9728)."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from django_lazyauth.conf import lazyauth_settings


@login_not_required
@require_safe
def metadata_view(request: HttpRequest, resource_path: str = "") -> HttpResponse:
    """Describe the resource whose metadata has this URL (RFC 9728 §3.1); 404 for any other."""
    server = lazyauth_settings.resource_server
    wanted = resource_path.strip("/")
    resource = next((one for one in server.audience if urlsplit(one).path.strip("/") == wanted), None)
    if resource is None:
        raise Http404
    response = JsonResponse(
        {
            "resource": resource,
            "authorization_servers": [server.issuer],
            "bearer_methods_supported": ["header"],
        }
    )
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = "public, max-age=300"
    return response
