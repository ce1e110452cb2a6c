"""What operators see in Django's admin: read-mostly, and no stored secret is ever shown (I13)."""

from . import clients, identities, initial_access_tokens, providers, sessions, sign_ins, tokens, upstreams  # noqa: F401 - registers the admin classes
