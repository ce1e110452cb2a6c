"""An exception as the text of a message."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from django_lazyauth.errors import LazyAuthError


def complaint(error: Exception) -> str:
    """Return the text of an error of ours. Another error's text may hold a secret, so its class stands for it."""
    text = str(error) if isinstance(error, (ImproperlyConfigured, LazyAuthError)) else ""
    return text or f"{type(error).__name__} was raised."
