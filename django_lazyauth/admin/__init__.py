"""What operators see in Django's admin: read-mostly, and no stored secret is ever shown (I13)."""

from . import (  # noqa: F401 - registers the admin classes
    clients,
    devices,
    identities,
    initial_access_tokens,
    overview,
    providers,
    sessions,
    sign_ins,
    tokens,
)
