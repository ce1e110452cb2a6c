"""What the product uses of Django REST framework that its documentation does not promise."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.permissions import AND, OR, AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import exception_handler


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


def test_an_operator_holds_its_operands_by_these_names():
    """``resource_server/challenge.py``: the scopes of ``a & b`` and ``a | b``."""
    for combined, operator in ((AllowAny & IsAuthenticated, AND), (AllowAny | IsAuthenticated, OR)):
        made = combined()
        assert isinstance(made, operator)
        assert (type(made.op1), type(made.op2)) == (AllowAny, IsAuthenticated)
