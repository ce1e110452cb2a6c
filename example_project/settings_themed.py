"""Settings of ``make serve-themed``: those of development, and a site's own look. ``docs/theming.md`` says how."""

from __future__ import annotations

from .settings import *  # noqa: F403  Django's settings are one flat namespace.
from .settings import BASE_DIR, LAZYAUTH, TEMPLATES

LAZYAUTH["BRAND"] = {
    "name": "Trail Club",
    "logo": "trail/logo.svg",
    "support_url": "mailto:help@trail.example",
    "terms_url": "https://trail.example/terms",
    "privacy_url": "https://trail.example/privacy",
    "accent": "#0b6b50",
    "accent_dark": "#7fdcbd",
}
LAZYAUTH["IDENTIFIER_FIRST"] = True

THEME = BASE_DIR / "example_project" / "themed"
TEMPLATES[0]["DIRS"] = [THEME / "templates"]
STATICFILES_DIRS = [THEME / "static"]
