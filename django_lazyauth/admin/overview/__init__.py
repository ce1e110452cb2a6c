"""The page of the admin that operators begin at."""

from . import page  # noqa: F401 - registers it
