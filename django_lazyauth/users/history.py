"""What people change about how they sign in stands in the history of their user, where operators read it.

It is the history of Django's admin, and the one who acted is the person. Its words are those of the admin, which each
operator reads in their language. Without the admin nothing is written.

Not here: what operators do (``admin/acts``), and how each sign-in went (``models/sign_in_log``).
"""

from __future__ import annotations

import json
from typing import Literal

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.utils import translation

from django_lazyauth.models import ProviderIdentity


def note_password(user: AbstractBaseUser) -> None:
    """Write, in the caller's transaction, that *user* set or changed their password."""
    _note(user, {"changed": {"fields": ["password"]}})


def note_way(user: AbstractBaseUser, identity: ProviderIdentity, what: Literal["added", "deleted"]) -> None:
    """Write, in the caller's transaction, that *user* connected or disconnected *identity*.

    It names the provider, and not the address there: the history of a user who is kept outlives an erasure.
    """
    with translation.override(None):
        name = str(identity._meta.verbose_name)
    _note(user, {what: {"name": name, "object": identity.provider}})


def _note(user: AbstractBaseUser, change: dict[str, dict[str, object]]) -> None:
    if not apps.is_installed("django.contrib.admin"):
        return
    # A model of an app that a host may leave out cannot be imported there.
    from django.contrib.admin.models import CHANGE, LogEntry

    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(user, for_concrete_model=False),
        object_id=str(user.pk),
        object_repr=str(user)[:200],
        action_flag=CHANGE,
        change_message=json.dumps([change]),
    )
