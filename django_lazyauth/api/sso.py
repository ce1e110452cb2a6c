"""Is this domain ready to sign people in? ``POST …/discover`` fetches, ``GET`` returns the state."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from rest_framework.request import Request
from rest_framework.response import Response

from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.sign_in import sso_domain

from .base import JSONView, described, pending_response
from .serializers import DomainSerializer, FailedSerializer, NotAllowedSerializer, StateSerializer


class DiscoverView(JSONView):
    """Start the discovery of a domain."""

    # A request here makes this site fetch from a third party, so requests are refused while they cannot be counted.
    throttle = Throttle("sso discover", 30, timedelta(minutes=1))

    @described(
        summary="Discover an SSO domain",
        request=None,
        responses={202: StateSerializer},
        auth=[],
        tags=["sso"],
    )
    def post(self, request: Request, domain: str) -> Response:
        """Start the fetches that are due. A domain that is not on the allowlist gets the same answer."""
        sso_domain.discover(domain)
        return pending_response(1)


class DomainView(JSONView):
    """The state of a domain."""

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
        """Return the state. Only ``POST …/discover`` fetches anything."""
        found = sso_domain.state_of(domain)
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
                return pending_response(found.retry_after)
            case "failed":
                body = {"state": "failed", "reason": found.reason}
                wait = {"Retry-After": str(found.retry_after)}
                return Response(body, status=HTTPStatus.FAILED_DEPENDENCY, headers=wait)
            case "not_allowed":
                return Response({"state": "not_allowed"}, status=HTTPStatus.FORBIDDEN)
