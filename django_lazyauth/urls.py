"""``path("", include("django_lazyauth.urls"))``, or below a path when the issuer has one.

Under a path, mount the well-known documents of the root as well (RFC 8414 §3.1)::

    path("oauth/", include("django_lazyauth.urls")),
    path("", include("django_lazyauth.well_known")),

The paths are django-oauth-toolkit's, so a site that swaps the include keeps its clients' endpoints; each is
served with and without a slash at its end.
"""

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from django_lazyauth.api import id_token, identities, registration, sessions, sso
from django_lazyauth.api.upstream_tokens import UpstreamTokenView
from django_lazyauth.openid.descriptor import PROVIDER_NAME
from django_lazyauth.web import account, authorize, callback, endpoints, flow, logout, provider
from django_lazyauth.web.design.brand import brand_view
from django_lazyauth.web.design.client_logo import client_logo_view
from django_lazyauth.web.device import page as device
from django_lazyauth.well_known import metadata_patterns

app_name = "lazyauth"


class ProviderName(StringConverter):
    """A configured name, or that of an SSO domain: ``sso:corp.example``."""

    regex = PROVIDER_NAME.pattern


register_converter(ProviderName, "lazyauth_provider")

urlpatterns = [
    re_path(r"^authorize/?$", authorize.authorize_view, name="authorize"),
    path("authorize/choose", authorize.choose_view, name="choose"),
    path("authorize/consent", authorize.consent_view, name="consent"),
    path("authorize/<uuid:session_id>", flow.flow_view, name="flow"),
    path("authorize/<uuid:session_id>/<lazyauth_provider:provider>", provider.provider_view, name="provider"),
    re_path(r"^callback/(?P<provider>[-\w.:]+)/?$", callback.callback_view, name="callback"),
    re_path(r"^device_authorization/?$", endpoints.device_authorization_view, name="device-authorization"),
    re_path(r"^device/?$", device.device_view, name="device"),
    path("device/done", device.device_done_view, name="device-done"),
    re_path(r"^token/?$", endpoints.token_view, name="token"),
    re_path(r"^par/?$", endpoints.push_view, name="par"),
    re_path(r"^revoke_token/?$", endpoints.revoke_view, name="revoke"),
    re_path(r"^introspect/?$", endpoints.introspect_view, name="introspect"),
    re_path(r"^userinfo/?$", endpoints.userinfo_view, name="userinfo"),
    re_path(r"^logout/?$", logout.end_session_view, name="end-session"),
    path("logout/confirm", logout.confirm_logout_view, name="confirm-logout"),
    re_path(r"^logout/signed-out/?$", logout.signed_out_view, name="signed-out"),
    re_path(r"^account/sessions/?$", account.account_view, name="account"),
    path("account/sign-in", account.account_sign_in_view, name="account-sign-in"),
    path("account/return", account.account_return_view, name="account-return"),
    re_path(r"^register/?$", registration.RegisterView.as_view(), name="register"),
    re_path(
        r"^register/(?P<client_id>[^/]+)/?$",
        registration.RegisteredClientView.as_view(),
        name="registered-client",
    ),
    re_path(
        r"^upstream-tokens/(?P<provider>[\w.:-]+)/?$",
        UpstreamTokenView.as_view(),
        name="upstream-token",
    ),
    re_path(
        r"^upstream-logout/(?P<provider>[-\w.:]+)/?$", endpoints.upstream_logout_view, name="upstream-logout"
    ),
    path("sso/<str:domain>/discover", sso.DiscoverView.as_view(), name="sso-discover"),
    path("sso/<str:domain>", sso.DomainView.as_view(), name="sso-domain"),
    path("authorizations/<uuid:session_id>/id-token", id_token.IdTokenView.as_view(), name="id-token"),
    path("identities", identities.IdentitiesView.as_view(), name="identities"),
    path("identities/<int:pk>", identities.IdentityView.as_view(), name="identity"),
    path("sessions", sessions.SessionsView.as_view(), name="sessions"),
    path("sessions/<uuid:session_id>", sessions.SessionView.as_view(), name="session"),
    path("brand.css", brand_view, name="brand"),
    re_path(
        r"^client-logos/(?P<key>[0-9]{1,18})/(?P<version>[0-9a-f]{16})$", client_logo_view, name="client-logo"
    ),
    re_path(r"^health/?$", endpoints.health_view, name="health"),
    re_path(r"^ready/?$", endpoints.ready_view, name="ready"),
    path(".well-known/jwks.json", endpoints.jwks_view, name="jwks"),
    *metadata_patterns,
]
