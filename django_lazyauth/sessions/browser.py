"""The sign-in of a browser on this site itself.

A lazy registration creates the user when the client redeems the code. The browser is signed in on its next visit, by
the binding cookie that it kept: see :func:`resume`.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, login, logout
from django.contrib.auth import SESSION_KEY as AUTH_USER_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError, InterfaceError, router
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_noop

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidGrant
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.models.fields import digest

SESSION_KEY = "django_lazyauth"
#: In a session that a page of the host began: when.
BEGAN_KEY = "django_lazyauth_began"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class AccountGone(InvalidGrant):
    """The user was deleted while they signed in."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """When and how the person of a browser authenticated (``auth_time``, ``amr``, ``acr``).

    Attributes:
        identity_id: The identity that they signed in with; ``None`` for another page of the site, a password
            without an identity, and a sign-in that an earlier release recorded.
        mark: Stands in the rows that begin in this browser until the person signs out of it. It proves nothing.
    """

    auth_time: datetime
    amr: list[str]
    acr: str
    identity_id: int | None = None
    mark: str = ""


def mark_of(request: HttpRequest) -> str:
    """Return the mark of this browser, or a new one for :func:`log_in`."""
    kept: dict[str, Any] = request.session.get(SESSION_KEY) or {}
    return kept.get("mark") or secrets.token_urlsafe(16)


def log_in(request: HttpRequest, user: AbstractBaseUser, how: SignIn) -> None:
    """Sign the browser in on this site. Django changes the session key, which prevents session fixation.

    Raises:
        AccountGone: The user was deleted at this moment.
    """
    backends = settings.AUTHENTICATION_BACKENDS
    backend = MODEL_BACKEND if MODEL_BACKEND in backends else backends[0]
    sign_in = partial(login, request, user, backend=getattr(user, "backend", backend))  # type: ignore[arg-type]  # AbstractBaseUser is what Django passes too
    try:
        # Two browsers of one person write the time into one row: a stricter database aborts one of them.
        retry_on_conflict(sign_in)
    except DatabaseError:
        # Django notes the time of the sign-in in the user's row.
        if type(user)._default_manager.filter(pk=user.pk).exists():
            raise
        request.session.flush()
        raise AccountGone(gettext_noop("This account does not exist any more.")) from None
    request.session[SESSION_KEY] = {
        "auth_time": how.auth_time.timestamp(),
        "amr": how.amr,
        "acr": how.acr,
        "identity": how.identity_id,
        "since": timezone.now().timestamp(),
        "mark": how.mark,
    }


def current_user(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the active user who is signed in in this browser.

    A sign-in by an identity that the person disconnected since, or that its provider signed out since, has ended: the
    browser is signed out (I21).
    """
    user = request.user
    if not isinstance(user, AbstractBaseUser) or not user.is_active:
        return None
    identity_id = sign_in_of(request).identity_id
    if identity_id is not None:
        identity = ProviderIdentity.objects.using(router.db_for_write(ProviderIdentity)).filter(
            pk=identity_id
        )
        if not identity.filter(user_id=user.pk).exclude(signed_out_at__gt=_since(request)).exists():
            logout(request)
            return None
    return user


def _since(request: HttpRequest) -> datetime:
    """Return when this browser was signed in. A session of an earlier release knows ``auth_time`` only."""
    kept = request.session[SESSION_KEY]
    return datetime.fromtimestamp(kept.get("since", kept["auth_time"]), tz=UTC)


def kept_session(request: HttpRequest) -> str:
    """Return the key of the browser's session if this request changed it, and write the session at once.

    Where that fails, nobody can take it over, and Django writes it after the view as always.
    """
    if not request.session.modified:
        return ""
    # Whoever takes it over before Django writes it must find it complete.
    try:
        request.session.save()
    except (UpdateError, DatabaseError, InterfaceError):
        return ""
    return request.session.session_key or ""


def take_session(request: HttpRequest, session_key: str) -> None:
    """Give this browser the session that an answer held which it may have dropped.

    Not where somebody is signed in here, and not where that session ended meanwhile.
    """
    if not session_key or current_user(request) is not None:
        return
    session = type(request.session)(session_key)
    if AUTH_USER_KEY in session:
        session.modified = True
        request.session = session


def sign_in_of(request: HttpRequest) -> SignIn:
    """Return when and how the signed-in person authenticated."""
    kept: dict[str, Any] = request.session.get(SESSION_KEY) or {}
    if "auth_time" in kept and BACKEND_SESSION_KEY in request.session:
        since = datetime.fromtimestamp(kept["auth_time"], tz=UTC)
        return SignIn(since, list(kept["amr"]), kept["acr"], kept.get("identity"), kept.get("mark", ""))
    # Another page of the site signed the person in. Not `last_login`: it is of all browsers of the person.
    return SignIn(datetime.fromtimestamp(request.session.get(BEGAN_KEY, 0), tz=UTC), [], "")


def note_sign_in(request: Any, user: Any, **kwargs: Any) -> None:
    """Note when Django signed this browser in, on whatever page. Receiver of ``user_logged_in``.

    Some packages send the signal where they give out a token. Then nobody is signed in here, or somebody else.
    """
    session = getattr(request, "session", None)
    if session is not None and session.get(AUTH_USER_KEY) == user._meta.pk.value_to_string(user):
        session[BEGAN_KEY] = timezone.now().timestamp()


def resume(request: HttpRequest, bindings: list[str]) -> bool:
    """Sign in a browser that has the binding of an exchanged lazy registration, once per registration.

    Args:
        bindings: Secrets of the binding cookies that the browser sent.
    """
    if not bindings:
        return False
    now = timezone.now()
    exchanged = PendingAuthorization.objects.filter(
        binding_digest__in=[digest(secret) for secret in bindings],
        status=Status.EXCHANGED,
        is_deferred=True,
        resumed_at__isnull=True,
        exchanged_at__gt=now - lazyauth_settings.code_retention,
    ).select_related("user")
    for pending in exchanged.order_by("-exchanged_at"):
        # Not a filter of the query: some user models have no column `is_active`.
        if pending.user is None or not pending.user.is_active:
            continue
        unresumed = PendingAuthorization.objects.filter(pk=pending.pk, resumed_at__isnull=True)
        mark = mark_of(request)
        if retry_on_conflict(partial(unresumed.update, resumed_at=now, browser_mark=mark)):
            how = SignIn(pending.auth_time or now, list(pending.amr), pending.acr, pending.identity_id, mark)
            with suppress(AccountGone):
                log_in(request, pending.user, how)
                return True
    return False


def let_resume(pending: PendingAuthorization) -> None:
    """Allow the browser of an exchanged row to be signed in on its next visit, in the caller's transaction."""
    PendingAuthorization.objects.filter(pk=pending.pk, status=Status.EXCHANGED).update(
        is_deferred=True, resumed_at=None
    )


def forget(bindings: list[str]) -> None:
    """Stop these bindings from signing this browser in: the person signed out."""
    PendingAuthorization.objects.filter(
        binding_digest__in=[digest(secret) for secret in bindings],
        status=Status.EXCHANGED,
        is_deferred=True,
        resumed_at__isnull=True,
    ).update(resumed_at=timezone.now())
