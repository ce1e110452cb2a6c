"""Our lists of clients and tokens in the place of django-oauth-toolkit's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from oauth2_provider.models import (
    AbstractApplication,
    get_access_token_model,
    get_application_model,
    get_grant_model,
    get_id_token_model,
    get_refresh_token_model,
)

from .moved import dot_module

# The import registers DOT's own classes, whichever of the two apps comes first in INSTALLED_APPS.
dot_admin = dot_module("admin", moves_to="authorization_server")

RegistrationSource = AbstractApplication.RegistrationSource
MANUAL = AbstractApplication.RegistrationSource.MANUAL
OF_DOCUMENT = AbstractApplication.RegistrationSource.CIMD
CONFIDENTIAL = AbstractApplication.CLIENT_CONFIDENTIAL
#: What a client that an operator makes can be used for here.
GRANTS = (AbstractApplication.GRANT_AUTHORIZATION_CODE, AbstractApplication.GRANT_CLIENT_CREDENTIALS)


def replace_client_admin(admin_class: Any) -> None:
    """Show clients with *admin_class*, unless the host chose a class of its own (``APPLICATION_ADMIN_CLASS``)."""
    _replace(get_application_model(), dot_admin.ApplicationAdmin, admin_class)


def replace_access_token_admin(admin_class: Any) -> None:
    """The same for access tokens (``ACCESS_TOKEN_ADMIN_CLASS``)."""
    _replace(get_access_token_model(), dot_admin.AccessTokenAdmin, admin_class)


def replace_refresh_token_admin(admin_class: Any) -> None:
    """The same for refresh tokens (``REFRESH_TOKEN_ADMIN_CLASS``)."""
    _replace(get_refresh_token_model(), dot_admin.RefreshTokenAdmin, admin_class)


def replace_id_token_admin(admin_class: Any) -> None:
    """The same for ID tokens (``ID_TOKEN_ADMIN_CLASS``)."""
    _replace(get_id_token_model(), dot_admin.IDTokenAdmin, admin_class)


def replace_grant_admin(admin_class: Any) -> None:
    """The same for the codes of DOT's own views (``GRANT_ADMIN_CLASS``)."""
    _replace(get_grant_model(), dot_admin.GrantAdmin, admin_class)


def replace_pushed_request_admin(admin_class: Any) -> None:
    """The same for requests at DOT's own endpoint for them, which its next release has. It offers no setting."""
    if hasattr(dot_admin, "PushedAuthorizationRequestAdmin"):
        _replace(dot_admin.get_par_request_model(), dot_admin.PushedAuthorizationRequestAdmin, admin_class)


def _replace(model: Any, theirs: type[Any], ours: Any) -> None:
    if type(admin.site._registry.get(model)) is theirs:
        admin.site.unregister(model)
        admin.site.register(model, ours)
