"""Is this domain ready to sign people in? ``POST …/discover`` drives, ``GET`` looks."""

from __future__ import annotations

from datetime import timedelta

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.sign_in import sso_domain

from .base import JSONView, described
from .serializers import DomainSerializer, FailedSerializer, NotAllowedSerializer, StateSerializer


class DiscoverView(JSONView):
    """Have a domain's documents fetched."""

    # A request here makes this site fetch something from a third: closed while nobody can count.
    throttle = Throttle("sso discover", 30, timedelta(minutes=1))

    @described(
        summary="Discover an SSO domain",
        request=None,
        responses={202: StateSerializer},
        auth=[],
        tags=["sso"],
    )
    def post(self, request: Request, domain: str) -> Response:
        """Start what is due and return. The answer is the same for a domain that may not: it tells nothing."""
        sso_domain.discover(domain)
        return Response({"state": "pending"}, status=status.HTTP_202_ACCEPTED, headers={"Retry-After": "1"})


class DomainView(JSONView):
    """What is known of a domain."""

    throttle = Throttle("sso state", 120, timedelta(minutes=1), fails_open=True)

    @described(
        summary="State of an SSO domain",
        responses={
            200: DomainSerializer,
            202: StateSerializer,
            403: NotAllowedSerializer,
            424: FailedSerializer,
        },
        auth=[],
        tags=["sso"],
    )
    def get(self, request: Request, domain: str) -> Response:
        """Look, and fetch nothing: discovery is driven by ``POST``."""
        found = sso_domain.state_of(domain)
        wait = {"Retry-After": str(found.retry_after)}
        match found.state:
            case "resolved":
                return Response(
                    {
                        "state": "resolved",
                        "domain": found.domain,
                        "name": found.name,
                        "issuer": found.issuer,
                        "client_id": found.client_id,
                        "scopes": list(found.scopes),
                    }
                )
            case "pending":
                return Response({"state": "pending"}, status=status.HTTP_202_ACCEPTED, headers=wait)
            case "failed":
                body = {"state": "failed", "reason": found.reason}
                return Response(body, status=status.HTTP_424_FAILED_DEPENDENCY, headers=wait)
            case "not_allowed":
                return Response({"state": "not_allowed"}, status=status.HTTP_403_FORBIDDEN)
