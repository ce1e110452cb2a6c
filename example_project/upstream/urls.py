"""The upstream's addresses: an OpenID provider at the root, a sign-in page, and one small API.

The toolkit's pages that let people register clients are left out: this provider has one client.
"""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import include, path, re_path
from oauth2_provider import views as toolkit

from . import views

# The toolkit reverses its endpoints by these names, to publish them.
provider = [
    path("authorize/", toolkit.AuthorizationView.as_view(), name="authorize"),
    path("token/", toolkit.TokenView.as_view(), name="token"),
    path("revoke_token/", toolkit.RevokeTokenView.as_view(), name="revoke-token"),
    path("introspect/", toolkit.IntrospectTokenView.as_view(), name="introspect"),
    path("userinfo/", toolkit.UserInfoView.as_view(), name="user-info"),
    path(".well-known/jwks.json", toolkit.JwksInfoView.as_view(), name="jwks-info"),
    path(
        ".well-known/oauth-authorization-server",
        toolkit.OAuthServerMetadataView.as_view(),
        name="oauth-server-metadata",
    ),
    re_path(
        r"^\.well-known/openid-configuration$",
        toolkit.ConnectDiscoveryInfoView.as_view(),
        name="oidc-connect-discovery-info",
    ),
]

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in", views.SignInView.as_view(), name="sign-in"),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
    path("api/notes", views.notes, name="notes"),
    path("", include((provider, "oauth2_provider"))),
]
