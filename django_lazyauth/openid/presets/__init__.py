"""Settings of well-known providers. A configuration names one with ``preset`` and may override its values.

A new provider is a new row here or a dict in the settings, never a class. A value stands here only if a page or the
code of others confirms it. A provider without a flag that proves control of an address has ``states_email_verified``
False.

Not here: what a key means (:mod:`django_lazyauth.openid.provider_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .eastern import EASTERN
from .oauth2 import OAUTH2
from .oidc import OIDC
from .preset import Preset

#: Static directory of their pictures, one file a preset. They are drawn for this package, in a simplified form.
LOGOS: Final = "django_lazyauth/logos"

PRESETS: Final[Mapping[str, Preset]] = {**OIDC, **OAUTH2, **EASTERN}
