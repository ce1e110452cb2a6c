"""What this site holds about a person, and how all of it goes: for the person themselves, and for operators.

Not here: a page or a command (``web/``, ``management/``), and how a session ends (``end``, ``deletion``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import router, transaction
from django.db.models import ProtectedError, RestrictedError
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import LazyAuthError
from django_lazyauth.kit.retry import retries_on_conflict
from django_lazyauth.models import (
    Consent,
    PendingAuthorization,
    ProviderIdentity,
    SubjectIdentifier,
    UpstreamGrant,
)

from .deletion import end_on_user_deletion
from .listing import sessions_of

#: Sign-ins that an export holds at most, the newest.
SIGN_INS: Final = 1000
#: Fields of a user that are exported where the model has them. A host's own field may hold a secret, so it is not
#: guessed: ``ACCOUNT_EXPORT`` adds it.
USER_FIELDS: Final = ("first_name", "last_name", "is_active", "date_joined", "last_login")


class PersonKept(LazyAuthError):
    """The person cannot be erased. Nothing was changed.

    Attributes:
        holders: Names of the kinds of rows that the site protects; empty where ``ACCOUNT_DELETE`` left an active user.
    """

    def __init__(self, holders: tuple[str, ...] = ()) -> None:
        self.holders = holders
        super().__init__(", ".join(holders) or "ACCOUNT_DELETE left an active user")


@dataclass(frozen=True, slots=True)
class Erased:
    """
    Attributes:
        sessions: How many live sessions ended.
        identities: How many accounts at providers are linked no more.
    """

    sessions: int
    identities: int


def export_person(user: AbstractBaseUser) -> dict[str, Any]:
    """Return what is held about *user*, as values that JSON has; times as ISO 8601. No token and no password is in it.

    What the host adds (``ACCOUNT_EXPORT``) stands under ``site``. The number of queries does not grow with the rows.
    """
    found = {
        "issuer": lazyauth_settings.issuer,
        "exported_at": timezone.now(),
        "account": _account(user),
        "ways_to_sign_in": _ways_in(user),
        "subjects": list(
            SubjectIdentifier.objects.filter(user_id=user.pk)
            .order_by("pk")
            .values("sector", "subject", "created_at")
        ),
        "sessions": [_session(session) for session in sessions_of(user)],
        "applications": _applications(user),
        "connected_upstreams": list(
            UpstreamGrant.objects.filter(user_id=user.pk)
            .order_by("pk")
            .values("provider", "subject", "scope", "state", "expires_at", "created_at", "updated_at")
        ),
        "sign_ins": _sign_ins(user),
    }
    add = lazyauth_settings.account_export
    if add is not None:
        found["site"] = add(user)
    exported: dict[str, Any] = json.loads(json.dumps(found, cls=DjangoJSONEncoder))
    return exported


def _account(user: AbstractBaseUser) -> dict[str, Any]:
    names = {field.name for field in user._meta.concrete_fields}
    email = user.get_email_field_name()
    chosen = (get_user_model().USERNAME_FIELD, *([email] if email in names else []), *USER_FIELDS)
    return {"id": str(user.pk)} | {name: getattr(user, name) for name in chosen if name in names}


def _ways_in(user: AbstractBaseUser) -> list[Any]:
    return list(
        ProviderIdentity.objects.filter(user_id=user.pk)
        .order_by("pk")
        .values(
            "provider",
            "subject",
            "issuer",
            "email",
            "email_verified",
            "name",
            "claims",
            "sso_domain",
            "is_default",
            "created_at",
            "seen_at",
        )
    )


def _session(session: Any) -> dict[str, Any]:
    return {
        "id": session.session_id,
        "application": session.client.name or session.client.client_id,
        "client_id": session.client.client_id,
        "provider": session.provider,
        "browser": session.agent,
        "network": session.network,
        "since": session.since,
        "last_used_at": session.last_used_at,
    }


def _applications(user: AbstractBaseUser) -> list[dict[str, Any]]:
    rows = Consent.objects.filter(user_id=user.pk).select_related("client").order_by("pk")
    return [
        {
            "application": row.client.name or row.client.client_id,
            "client_id": row.client.client_id,
            "scope": row.scope,
            "resources": row.resources,
            "allowed_at": row.created_at,
            "changed_at": row.updated_at,
        }
        for row in rows
    ]


def _sign_ins(user: AbstractBaseUser) -> list[dict[str, Any]]:
    rows = PendingAuthorization.objects.filter(user_id=user.pk).select_related("client").order_by("-pk")
    return [
        {
            "application": row.client.name or row.client.client_id,
            "provider": row.provider,
            "status": row.status,
            "scope": row.scope,
            "browser": row.agent,
            "network": row.network,
            "began_at": row.created_at,
            "changed_at": row.updated_at,
        }
        for row in rows[:SIGN_INS]
    ]


@retries_on_conflict
def erase_person(user: AbstractBaseUser) -> Erased:
    """End everything of *user* and delete them, in one transaction (I21). Applications are told that sessions ended.

    Where ``ACCOUNT_DELETE`` is set, that function is called in place of ``user.delete()``. It may keep a user who is
    not active any more and says nothing of the person.

    Raises:
        PersonKept: Rows of the site protect the user, or the function left them active.
    """
    using = router.db_for_write(get_user_model())
    forget = lazyauth_settings.account_delete
    pk = user.pk
    with transaction.atomic(using=using):
        counted = Erased(
            len(sessions_of(user)), ProviderIdentity.objects.using(using).filter(user_id=pk).count()
        )
        # What `request.user` holds is no user but stands for one, and says of which class.
        end_on_user_deletion(user.__class__, user)
        try:
            if forget is None:
                user.delete()
            else:
                forget(user)
        except (ProtectedError, RestrictedError) as error:
            raise PersonKept(_holders(error)) from None
        # A user that is kept says nothing of the person, also not what clients call them.
        SubjectIdentifier.objects.using(using).filter(user_id=pk).delete()
        kept = get_user_model()._base_manager.using(using).filter(pk=pk).first()
        if kept is not None and kept.is_active:
            raise PersonKept
    return counted


def _holders(error: ProtectedError | RestrictedError) -> tuple[str, ...]:
    rows = error.protected_objects if isinstance(error, ProtectedError) else error.restricted_objects
    return tuple(sorted({str(row._meta.verbose_name_plural) for row in rows}))
