"""Stock DOT below ``/dot/``, this app beside it, and one API for each way in which an API checks a token."""

from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.toolkit.moved import dot_module
from django_lazyauth.toolkit.stock_validator import StockValidator

protected_resource = dot_module("decorators", moves_to="resource_server").protected_resource


@api_view()
@authentication_classes([OAuth2Authentication])
@permission_classes([IsAuthenticated])
def by_dot(request):
    return Response({"user": request.user.get_username()})


@api_view()
@authentication_classes([OAuth2Authentication])
@permission_classes([TokenHasScope])
def by_scope(request):
    return Response({"user": request.user.get_username()})


by_scope.cls.required_scopes = ["read"]


@protected_resource(scopes=["read"])
def protected(request):
    return JsonResponse({"user": request.resource_owner.get_username()})


@protected_resource(scopes=["read"], validator_cls=StockValidator)
def protected_by_ours(request):
    return HttpResponse("The token is good.")


@api_view()
@authentication_classes([LazyAuthAuthentication])
@permission_classes([IsAuthenticated])
def by_us(request):
    return Response({"user": request.user.get_username()})


urlpatterns = [
    path("api/dot", by_dot),
    path("api/scope", by_scope),
    path("api/protected", protected),
    path("api/protected-by-ours", protected_by_ours),
    path("api/us", by_us),
    path("dot/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("", include("django_lazyauth.urls")),
]
