"""A resource of the site's own, as a host writes one."""

from __future__ import annotations

from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication


class Whoever(APIView):
    """Says who calls."""

    authentication_classes = [LazyAuthAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": str(request.user.pk)})
