"""Settings of the site that :mod:`.test_walk` walks: those of the example, and one of each thing that a page can show.

``WALKED_THEMED`` gives it the look of its own that ``make serve-themed`` has.
"""

from __future__ import annotations

from typing import Any, NoReturn

from example_project import environment

if environment.flag("WALKED_THEMED", default=False):
    from example_project.settings_themed import *  # noqa: F403  Django's settings are one flat namespace.
else:
    from example_project.settings import *  # noqa: F403  Django's settings are one flat namespace.
from example_project.settings import LAZYAUTH, OAUTH2_PROVIDER

#: No system gives this port to a listener.
DOWN = "http://127.0.0.1:1"
#: Takes connections, and never answers.
SLOW = environment.value("WALKED_SLOW_URL", DOWN)


class UnreachableDocuments:
    """Looks up metadata documents, and never can."""

    def fetch(self, client_id: str) -> NoReturn:
        raise OSError


_demo: dict[str, Any] = LAZYAUTH["PROVIDERS"]["demo"]
_demo["end_session_endpoint"] = f"{_demo['issuer']}/sign-out"
_demo["upstream_logout"] = "ask"
LAZYAUTH["PROVIDERS"] |= {
    "down": {**_demo, "display_name": "Company Login", "issuer": DOWN, "logo": "example/upstream.svg"},
    "google": {"preset": "google", "client_id": "walked", "client_secret": "walked"},
    "github": {"preset": "github", "client_id": "walked", "client_secret": "walked"},
}
# One for each language: a domain that failed is left alone.
LAZYAUTH["SSO_DOMAINS"] = {
    f"{language}.slow.example": {"discovery_url": SLOW} for language in ("en", "de", "ja", "ar")
}
# A person types forty passwords in a walk.
PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("MD5", "PBKDF2")]
LAZYAUTH["DEVICE_FLOW"] = {"strangers": True}
LAZYAUTH.setdefault("BRAND", {"name": "Summit Hut"})
LAZYAUTH["NUM_PROXIES"] = 1
LAZYAUTH["ASK_NAME"] = True
LAZYAUTH["REGISTRATIONS_PER_NETWORK"] = 1000
OAUTH2_PROVIDER["CIMD_METADATA_FETCHER"] = UnreachableDocuments
LAZYAUTH["SCOPES"] = {
    "notes.read": {"text": "Read your notes", "group": "Notes"},
    "notes.delete": {"text": "Delete your notes", "weight": "sensitive", "group": "Notes"},
}
