"""Settings of django-oauth-toolkit that this app honours. All others have no effect here."""

from __future__ import annotations

from typing import Final

from oauth2_provider.settings import oauth2_settings

from django_lazyauth.conf import lazyauth_settings

_REQUIRE_PUSHES: Final = "REQUIRE_PUSHED_AUTHORIZATION_REQUESTS"


def metadata_documents_enabled() -> bool:
    """Say whether a client's id may be the URL of its metadata document.

    Our setting decides, else DOT's ``CIMD_ENABLED`` where the site set it, else whether registration is open.
    """
    if lazyauth_settings.cimd is not None:
        return lazyauth_settings.cimd
    if "CIMD_ENABLED" in oauth2_settings.user_settings:
        return bool(oauth2_settings.CIMD_ENABLED)
    return lazyauth_settings.registration_policy == "open"


def rsa_private_keys() -> list[str]:
    """Return the PEM keys of ``OIDC_RSA_PRIVATE_KEY`` and ``OIDC_RSA_PRIVATE_KEYS_INACTIVE``, the active one first."""
    if not oauth2_settings.OIDC_RSA_PRIVATE_KEY:
        return []
    return [oauth2_settings.OIDC_RSA_PRIVATE_KEY, *oauth2_settings.OIDC_RSA_PRIVATE_KEYS_INACTIVE]


def requires_pushes() -> bool:
    """Say whether this site takes pushed requests only (RFC 9126 §5).

    Our setting decides, and that of DOT's next release where a site set it.
    """
    return lazyauth_settings.require_par or bool(oauth2_settings.user_settings.get(_REQUIRE_PUSHES))


def toolkit_insists_on_pushes(*, is_asked: bool) -> bool:
    """Say whether DOT's own endpoint refuses requests that were not pushed to it.

    Args:
        is_asked: Its column asks for that.
    """
    return _REQUIRE_PUSHES in oauth2_settings.defaults and bool(
        is_asked or oauth2_settings.user_settings.get(_REQUIRE_PUSHES)
    )


def use_our_defaults() -> None:
    """Make classes of ours the defaults of two settings of django-oauth-toolkit. What a host set stands."""
    oauth2_settings.defaults["CIMD_METADATA_FETCHER"] = "django_lazyauth.toolkit.documents.DocumentFetcher"
    oauth2_settings.defaults["OAUTH2_VALIDATOR_CLASS"] = (
        "django_lazyauth.toolkit.stock_validator.StockValidator"
    )


def validator_knows_keys() -> bool:
    """Say whether DOT's own endpoints refuse what a key protects: whether their validator derives from ours."""
    from .stock_validator import StockValidator  # Its models are not loaded where this module is.

    try:
        return issubclass(oauth2_settings.OAUTH2_VALIDATOR_CLASS, StockValidator)
    except ImportError:
        return True  # DOT names the class that it cannot import where it is used.
