"""What operators see in Django's admin: read-mostly, and no secret is ever shown (I13)."""

from . import rows  # noqa: F401 - registers the admin classes
