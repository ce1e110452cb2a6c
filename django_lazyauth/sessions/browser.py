"""The sign-in of a browser on this site itself.

A lazy registration creates the user when the client redeems the code. The browser is signed in on its next visit, by
the binding cookie that it kept: see :func:`resume`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, login
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.retry import retry_on_conflict
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.models.fields import digest

SESSION_KEY = "django_lazyauth"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def log_in(
    request: HttpRequest, user: AbstractBaseUser, *, auth_time: datetime, amr: list[str], acr: str
) -> None:
    """Sign the browser in on this site. Django changes the session key, which prevents session fixation."""
    backends = settings.AUTHENTICATION_BACKENDS
    backend = MODEL_BACKEND if MODEL_BACKEND in backends else backends[0]
    login(request, user, backend=getattr(user, "backend", backend))  # type: ignore[arg-type]  # AbstractBaseUser is what Django passes too
    request.session[SESSION_KEY] = {"auth_time": auth_time.timestamp(), "amr": amr, "acr": acr}


def current_user(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the active user who is signed in in this browser."""
    user = request.user
    return user if isinstance(user, AbstractBaseUser) and user.is_active else None


def signed_in_since(request: HttpRequest) -> tuple[datetime, list[str], str]:
    """Return when and how the signed-in person authenticated (``auth_time``, ``amr``, ``acr``)."""
    kept: dict[str, Any] = request.session.get(SESSION_KEY) or {}
    if "auth_time" in kept and BACKEND_SESSION_KEY in request.session:
        return datetime.fromtimestamp(kept["auth_time"], tz=UTC), list(kept["amr"]), kept["acr"]
    # Another page of the site signed the person in: Django recorded the time.
    last_login: datetime | None = getattr(request.user, "last_login", None)
    return last_login or datetime.fromtimestamp(0, tz=UTC), [], ""


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
        if retry_on_conflict(partial(unresumed.update, resumed_at=now)):
            log_in(
                request,
                pending.user,
                auth_time=pending.auth_time or now,
                amr=list(pending.amr),
                acr=pending.acr,
            )
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
