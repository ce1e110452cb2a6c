"""An API of the old site: protected by DOT's own authentication class, which stays in place."""

from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response


@api_view()
@authentication_classes([OAuth2Authentication])
@permission_classes([IsAuthenticated])
def whoami(request):
    return Response({"user": request.user.get_username()})
