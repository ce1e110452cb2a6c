"""A token was revoked or deleted by other code: DOT's views and admin, or the host's. Its session ends (I21).

Nothing is asked of the database for a token that is issued or spent here, or that has expired.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import router, transaction
from django.db.models import Model
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.tokens import binding, family
from django_lazyauth.tokens.refresh import SPENT_FIELDS
from django_lazyauth.toolkit.models import (
    get_access_token_model,
    get_id_token_model,
    get_refresh_token_model,
)
from django_lazyauth.toolkit.rotation import is_rotating

from .end import end_session


def end_on_revocation(
    sender: Any, instance: Any, raw: bool = False, update_fields: Any = None, **kwargs: Any
) -> None:
    """Receive ``pre_save`` of refresh tokens: one that worked is saved as revoked."""
    if raw or instance._state.adding or instance.revoked is None or instance.token_family is None:
        return
    if update_fields is not None and (
        "revoked" not in update_fields or set(update_fields) == set(SPENT_FIELDS)
    ):
        return
    if _goes_on() or not _rows(sender).filter(pk=instance.pk, revoked__isnull=True).exists():
        return
    end_session(instance.token_family)
    # The access token was deleted with its session.
    instance.access_token = None


def end_on_token_deletion(sender: Any, instance: Any, origin: Any = None, **kwargs: Any) -> None:
    """Receive ``pre_delete`` of refresh tokens, unless they go with a person or a client.

    A token that is idle for too long is no session any more. Nothing ends then. Nor does it with a spent token. But
    its access token goes along, because the end of the session would not find it any more (I11).
    """
    if family.is_ours() or instance.token_family is None or _model_of(origin) is not sender:
        return
    age = timezone.now() - instance.created
    if instance.revoked is None:
        if age < lazyauth_settings.refresh_token_idle_lifetime:
            end_session(instance.token_family)
    elif age < lazyauth_settings.longest_access_token:
        with family.by_us():
            _rows(get_access_token_model()).filter(pk=instance.access_token_id).delete()


def end_on_access_token_deletion(sender: Any, instance: Any, origin: Any = None, **kwargs: Any) -> None:
    """Receive ``pre_delete`` of access tokens, unless they go with a person or a client.

    An expired one ends nothing: whoever tidies up deletes it.
    """
    if _goes_on() or instance.expires <= timezone.now():
        return
    if _model_of(origin) not in (sender, get_id_token_model()):
        return
    binding.forget_token(instance.token_checksum)
    members = _rows(get_refresh_token_model()).filter(access_token_id=instance.pk, token_family__isnull=False)
    for token_family in list(members.values_list("token_family", flat=True)):
        end_session(token_family)


def end_before_method(token: Any) -> None:
    """End the session of *token*, whose ``revoke`` was called. DOT's own leaves a spent token as it is.

    The access token of a spent token works until it expires.
    """
    if token.token_family is not None and not _goes_on():
        end_session(token.token_family)


def end_whole_family(token_family: UUID | None) -> bool:
    """End the session of a family that other code revokes; say whether that was done."""
    if not token_family or family.is_ours():
        return False
    end_session(token_family)
    return True


@retries_on_conflict
def revoke(token: Any) -> bool:
    """End the session of an access or refresh token, or revoke one that belongs to none. Say if a session ended."""
    refresh_tokens = _rows(get_refresh_token_model())
    members = refresh_tokens.filter(pk=token.pk)
    if not isinstance(token, get_refresh_token_model()):
        members = refresh_tokens.filter(access_token_id=token.pk)
    with transaction.atomic(using=members.db):
        for member in members:
            if member.token_family is not None:
                return end_session(member.token_family)
            member.revoke()
        if isinstance(token, get_access_token_model()):
            _rows(type(token)).filter(pk=token.pk).delete()
    return False


def _goes_on() -> bool:
    """Say whether the session goes on, or is ended by whoever does this."""
    return is_rotating() or family.is_ours()


def _rows(model: Any) -> Any:
    return model._base_manager.using(router.db_for_write(model))


def _model_of(origin: Any) -> Any:
    """Return the model whose rows the deletion is about; *origin* is a row or a query set."""
    return type(origin) if isinstance(origin, Model) else getattr(origin, "model", None)
