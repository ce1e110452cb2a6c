"""What stands in the database of a person and of what they were given."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.models import Consent, ProviderIdentity, UpstreamToken

User = get_user_model()

MODELS = {
    "users": User,
    "identities": ProviderIdentity,
    "vault": UpstreamToken,
    "consents": Consent,
    "access": AccessToken,
    "refresh": RefreshToken,
    "id_tokens": IDToken,
}


def rows() -> dict[str, int]:
    return {name: model._base_manager.count() for name, model in MODELS.items()}


def each(count: int, **others: int) -> dict[str, int]:
    """Return so many of everything, but for *others*."""
    return dict.fromkeys(MODELS, count) | others


NOTHING = each(0)


def assert_nothing_lives(session_id) -> None:
    """No access token, no refresh token that works, no upstream token of this session (I2)."""
    refresh = RefreshToken.objects.filter(token_family=session_id)
    assert not refresh.filter(revoked__isnull=True, access_token__isnull=False).exists()
    assert not AccessToken.objects.filter(pk__in=refresh.values("access_token_id")).exists()
    assert not UpstreamToken.objects.filter(session_id=session_id).exists()
