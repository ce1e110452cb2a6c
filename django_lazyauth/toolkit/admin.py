"""Our list of clients in the place of django-oauth-toolkit's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from oauth2_provider.models import AbstractApplication, get_application_model

from .moved import dot_module

# The import registers DOT's own classes, whichever of the two apps comes first in INSTALLED_APPS.
ApplicationAdmin = dot_module("admin", moves_to="authorization_server").ApplicationAdmin

RegistrationSource = AbstractApplication.RegistrationSource
MANUAL = AbstractApplication.RegistrationSource.MANUAL
CONFIDENTIAL = AbstractApplication.CLIENT_CONFIDENTIAL
#: What a client that an operator makes can be used for here.
GRANTS = (AbstractApplication.GRANT_AUTHORIZATION_CODE, AbstractApplication.GRANT_CLIENT_CREDENTIALS)


def replace_client_admin(admin_class: Any) -> None:
    """Show clients with *admin_class*, unless the host chose a class of its own (``APPLICATION_ADMIN_CLASS``)."""
    model = get_application_model()
    if type(admin.site._registry.get(model)) is ApplicationAdmin:
        admin.site.unregister(model)
        admin.site.register(model, admin_class)
