"""The metadata of a resource on a site that is not the issuer's own (RFC 9728)."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.cors import ANY_ORIGIN, allow_origin, preflight

from .described import described_of

METHODS = ("GET", "HEAD", "OPTIONS")


@login_not_required
def metadata_view(request: HttpRequest, resource_path: str = "") -> HttpResponse:
    """Describe the resource whose metadata has this URL (RFC 9728 §3.1); 404 for any other.

    A script of any origin may read each answer: it has to learn where to ask for a token, or that nobody says.
    """
    if request.method == "OPTIONS":
        return preflight(request, METHODS)
    response = _describe(resource_path) if request.method in METHODS else HttpResponseNotAllowed(METHODS)
    allow_origin(response, ANY_ORIGIN)
    return response


def _describe(resource_path: str) -> HttpResponse:
    server = lazyauth_settings.resource_server
    wanted = resource_path.strip("/")
    resource = next((one for one in server.audience if urlsplit(one).path.strip("/") == wanted), None)
    if resource is None:
        return JsonResponse({"error": "not_found"}, status=404)
    response = JsonResponse(
        {
            "resource": resource,
            "authorization_servers": [server.issuer],
            "bearer_methods_supported": ["header"],
            **described_of(urlsplit(resource).path, resource),
        }
    )
    response.headers["Cache-Control"] = "public, max-age=300"
    return response
