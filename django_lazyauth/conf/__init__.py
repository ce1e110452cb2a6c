"""Which settings are there, and what may stand in them? One table: :mod:`.table`.

``lazyauth_settings.code_lifetime`` is typed and read anew on each access. The system checks
(:mod:`django_lazyauth.checks`) and ``docs/settings.md`` come from the same rows.
"""

from .app_schemes import DANGEROUS_SCHEMES
from .delegation import ExchangePolicy, IdJagAudience
from .development import is_development, prints_mail
from .hierarchy import with_contained
from .issuer import LOOPBACK_HOSTS
from .nested import (
    OF_THE_SIGN_IN,
    Chain,
    DpopSettings,
    ProtectedResource,
    ResourceServerSettings,
    SwapSettings,
    Unswapped,
    sso_document,
)
from .pages import BrandSettings, ScopeSettings, contrast
from .profile import allowed_algorithms, is_fapi2
from .setting import Refused, raw_settings
from .table import ROWS, RegistrationMode, RegistrationPolicy, Runner, lazyauth_settings

__all__ = [
    "DANGEROUS_SCHEMES",
    "LOOPBACK_HOSTS",
    "OF_THE_SIGN_IN",
    "ROWS",
    "BrandSettings",
    "Chain",
    "DpopSettings",
    "ExchangePolicy",
    "IdJagAudience",
    "ProtectedResource",
    "Refused",
    "RegistrationMode",
    "RegistrationPolicy",
    "ResourceServerSettings",
    "Runner",
    "ScopeSettings",
    "SwapSettings",
    "Unswapped",
    "allowed_algorithms",
    "contrast",
    "is_development",
    "is_fapi2",
    "lazyauth_settings",
    "prints_mail",
    "raw_settings",
    "sso_document",
    "with_contained",
]
