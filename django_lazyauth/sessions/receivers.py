"""What other code does to people, clients and tokens, and which of it ends a session: the receivers of the signals.

The app connects them at each start. What they call is imported when such a row is first changed: it is most of this
package, and a process that changes no such row needs none of it.
"""

from __future__ import annotations

from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_save, pre_delete, pre_save

from django_lazyauth.signals import upstream_grants_left
from django_lazyauth.toolkit.models import (
    get_access_token_model,
    get_application_model,
    get_refresh_token_model,
)


def connect() -> None:
    """Connect the receivers. The app config calls it once."""
    user, client, token = get_user_model(), get_application_model(), get_refresh_token_model()
    user_logged_in.connect(_signed_in, dispatch_uid="lazyauth.sign_in")
    post_save.connect(_user_saved, sender=user, dispatch_uid="lazyauth.deactivation")
    pre_delete.connect(_user_deleted, sender=user, dispatch_uid="lazyauth.deletion")
    pre_delete.connect(_client_deleted, sender=client, dispatch_uid="lazyauth.client_deletion")
    pre_save.connect(_token_saved, sender=token, dispatch_uid="lazyauth.revocation")
    pre_delete.connect(_token_deleted, sender=token, dispatch_uid="lazyauth.token_deletion")
    pre_delete.connect(
        _access_token_deleted,
        sender=get_access_token_model(),
        dispatch_uid="lazyauth.access_token_deletion",
    )
    upstream_grants_left.connect(_grants_left, dispatch_uid="lazyauth.grants_left")
    _watch_methods(token)


def _signed_in(**sent: Any) -> None:
    from .browser import note_sign_in

    note_sign_in(**sent)


def _user_saved(**sent: Any) -> None:
    from .end import end_on_deactivation

    end_on_deactivation(**sent)


def _user_deleted(**sent: Any) -> None:
    from .deletion import end_on_user_deletion

    end_on_user_deletion(**sent)


def _client_deleted(**sent: Any) -> None:
    from .deletion import end_on_client_deletion

    end_on_client_deletion(**sent)


def _token_saved(**sent: Any) -> None:
    from .revoked import end_on_revocation

    end_on_revocation(**sent)


def _token_deleted(**sent: Any) -> None:
    from .revoked import end_on_token_deletion

    end_on_token_deletion(**sent)


def _access_token_deleted(**sent: Any) -> None:
    from .revoked import end_on_access_token_deletion

    end_on_access_token_deletion(**sent)


def _grants_left(**sent: Any) -> None:
    from django_lazyauth.upstream.revocations import start

    start()


def _watch_methods(model: Any) -> None:
    """Let DOT's own methods of a refresh token end its session. They change rows that no signal tells of.

    ``revoke_family`` writes by query set, where DOT's token endpoint finds a replay. DOT lets a model override both.
    The model is DOT's or the host's, so they are replaced in it.
    """
    revoke_one, revoke_all = model.revoke, model.revoke_family

    @wraps(revoke_one)
    def revoke(self: Any) -> None:
        from .revoked import end_before_method

        end_before_method(self)
        revoke_one(self)

    @wraps(revoke_all)
    def revoke_family(cls: Any, token_family: UUID | None) -> None:
        from .revoked import end_whole_family

        if not end_whole_family(token_family):
            revoke_all(token_family)

    model.revoke, model.revoke_family = revoke, classmethod(revoke_family)
