"""Name the mail backend in the setting that the installed Django reads."""

from __future__ import annotations

from typing import Any

import django


def mail_settings(backend: str) -> dict[str, Any]:
    """Return the settings of a site that sends mail by *backend*: ``MAILERS`` since Django 6.1."""
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend}}}
    return {"EMAIL_BACKEND": backend}
