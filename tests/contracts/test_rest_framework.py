"""What the product uses of Django REST framework that its documentation does not promise."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.permissions import AND, OR, AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler


def test_a_request_keeps_djangos():
    """``api/``: rooms below the edges know Django's request only."""
    request = RequestFactory().get("/")
    assert Request(request)._request is request


@pytest.mark.parametrize(
    ("attribute", "value", "header"),
    [("auth_header", 'Bearer realm="api"', "WWW-Authenticate"), ("wait", 5, "Retry-After")],
)
def test_an_exception_brings_a_header(attribute, value, header):
    """``resource_server/challenge.py``, ``api/upstream.py``: a challenge with 403, a pause with 503."""
    error = PermissionDenied() if attribute == "auth_header" else APIException()
    setattr(error, attribute, value)
    assert exception_handler(error, {}).headers[header] == str(value)


def test_what_a_view_holds_as_headers_stands_in_its_answer():
    """``resource_server/authentication.py``: the next nonce, whatever the answer is."""

    class Nonces(BaseAuthentication):
        def authenticate(self, request):
            request.parser_context["view"].headers.update({"DPoP-Nonce": "next"})
            if request.query_params:
                raise APIException

    for url, status in (("/", 200), ("/?fail=1", 500)):
        view = type("View", (APIView,), {"authentication_classes": [Nonces], "get": lambda *_: Response()})
        answer = view.as_view()(RequestFactory().get(url))
        assert (answer.status_code, answer.headers["DPoP-Nonce"]) == (status, "next")


def test_an_operator_holds_its_operands_by_these_names():
    """``resource_server/challenge.py``: the scopes of ``a & b`` and ``a | b``."""
    for combined, operator in ((AllowAny & IsAuthenticated, AND), (AllowAny | IsAuthenticated, OR)):
        made = combined()
        assert isinstance(made, operator)
        assert (type(made.op1), type(made.op2)) == (AllowAny, IsAuthenticated)
