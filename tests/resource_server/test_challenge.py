"""A challenge names the scopes that the operation needs, before and after a token was sent (RFC 6750 §3)."""

from __future__ import annotations

import re

import pytest
from django.urls import include, path
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.resource_server.authentication import AccessTokenAuthentication
from django_lazyauth.resource_server.permissions import RequireScope, TokenHasScope
from tests.support.journey import get, make_browser, post
from tests.tokens.conftest import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

CLASSES = {"offline": AccessTokenAuthentication, "database": LazyAuthAuthentication}


class ByMethod(APIView):
    def get_permissions(self):
        scope = "tools:read" if self.request.method == "GET" else "tools:write"
        return [IsAuthenticated(), RequireScope(scope)()]

    def get(self, request):
        return Response({})

    post = get


def view(authentication, permissions, **attributes):
    members = {"authentication_classes": [authentication], "permission_classes": permissions, **attributes}
    return type("View", (APIView,), {**members, "get": lambda self, request: Response({})}).as_view()


#: Name → permissions, attributes of the view, and the scopes that a challenge names. It never names ``email``.
VIEWS = {
    "one": ([RequireScope("tools:read")], {}, "tools:read"),
    "several": ([RequireScope("tools:read", "tools:write")], {}, "tools:read tools:write"),
    "two-classes": (
        [IsAuthenticated, RequireScope("tools:read"), RequireScope("tools:write", "tools:read")],
        {},
        "tools:read tools:write",
    ),
    "both": ([RequireScope("tools:read") & RequireScope("tools:write")], {}, "tools:read tools:write"),
    "with-person": ([IsAuthenticated & RequireScope("tools:read")], {}, "tools:read"),
    "attribute": ([TokenHasScope], {"required_scopes": ["tools:read", "email"]}, "tools:read"),
    "attribute-and-class": (
        [TokenHasScope, RequireScope("tools:write")],
        {"required_scopes": ["tools:read"]},
        "tools:read tools:write",
    ),
    "partly-granted": ([RequireScope("email"), RequireScope("tools:read")], {}, "tools:read"),
}
urlpatterns = [
    path(f"{kind}/{name}", view(authentication, permissions, **attributes))
    for kind, authentication in CLASSES.items()
    for name, (permissions, attributes, _) in VIEWS.items()
]
urlpatterns += [path("", include("django_lazyauth.urls"))]
urlpatterns += [
    path(f"{kind}/free", view(authentication, [IsAuthenticated])) for kind, authentication in CLASSES.items()
]
urlpatterns += [
    path(f"{kind}/either", view(authentication, [AllowAny & IsAuthenticated | RequireScope("tools:read")]))
    for kind, authentication in CLASSES.items()
]
urlpatterns += [
    path(f"{kind}/sign-in/{scope}", view(authentication, [RequireScope(scope)]))
    for kind, authentication in CLASSES.items()
    for scope in ("openid", "profile", "email", "offline_access")
]
urlpatterns += [
    path(f"{kind}/by-method", ByMethod.as_view(authentication_classes=[authentication]))
    for kind, authentication in CLASSES.items()
]


def challenge_of(answer):
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", VIEWS)
def test_a_401_names_the_scopes_to_ask_for(kind, name):
    """RFC 6750 §3, and MCP's authorization: a client asks for what the challenge names."""
    for headers, error in (({}, None), ({"authorization": "Bearer nonsense"}, "invalid_token")):
        answer = get(make_browser(), f"/{kind}/{name}", headers=headers)
        assert answer.status_code == 401
        told = challenge_of(answer)
        assert (told.get("error"), told["scope"]) == (error, VIEWS[name][2])


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", VIEWS)
def test_a_403_names_all_that_the_operation_needs(kind, name, client_):
    """RFC 6750 §3.1: not only what the first permission misses, so the person is asked once."""
    token = sign_in(client_)["access_token"]
    answer = get(make_browser(), f"/{kind}/{name}", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    told = challenge_of(answer)
    assert (told["error"], told["scope"]) == ("insufficient_scope", VIEWS[name][2])
    assert VIEWS[name][2] in answer.json()["scope"]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("scope", ["openid", "profile", "email", "offline_access"])
def test_a_challenge_never_names_a_scope_of_the_sign_in(kind, scope, client_):
    """MCP's authorization: no resource needs them; the body tells the developer."""
    token = sign_in(client_, scope="email" if scope == "profile" else "profile")["access_token"]
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        answer = get(make_browser(), f"/{kind}/sign-in/{scope}", headers=headers)
        assert "scope" not in challenge_of(answer)
    assert answer.json() == {"error": "insufficient_scope", "scope": scope}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_view_without_scopes_names_none(kind):
    answer = get(make_browser(), f"/{kind}/free")
    assert answer.status_code == 401
    assert "scope" not in challenge_of(answer)


@pytest.mark.parametrize("kind", CLASSES)
def test_of_alternatives_the_first_that_a_token_can_meet_is_named(kind):
    assert challenge_of(get(make_browser(), f"/{kind}/either"))["scope"] == "tools:read"


@pytest.mark.parametrize("kind", CLASSES)
def test_scopes_may_depend_on_the_method(kind):
    url = f"/{kind}/by-method"
    assert challenge_of(get(make_browser(), url))["scope"] == "tools:read"
    assert challenge_of(post(make_browser(), url, {}))["scope"] == "tools:write"


@pytest.mark.urls("tests.urls")
def test_the_endpoint_of_upstream_tokens_names_its_scope(client_, lazyauth):
    lazyauth(UPSTREAM_TOKEN_CLIENTS={client_.client_id: ["demo"]})
    answer = get(make_browser(), "/upstream-tokens/demo")
    assert answer.status_code == 401
    assert challenge_of(answer)["scope"] == "upstream:demo"
