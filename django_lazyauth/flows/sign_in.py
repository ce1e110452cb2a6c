"""A provider said who the person is: move the pending row on, and sign the browser in where a user exists."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, login
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.http import HttpRequest
from django.utils import timezone

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import AccessDenied, InvalidGrant, RegistrationRefused
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.models.fields import digest
from django_lazyauth.models.lost_race import again, begun_again
from django_lazyauth.providers.base import Provider, Success

from . import accounts, register, sessions

SESSION_KEY = "django_lazyauth"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
#: Two people may register the same (provider, subject) at once; the second finds the first on its next try.
ATTEMPTS = 3


class SomebodyElse(AccessDenied):
    """The client asked for one person, and another signed in (OpenID Connect Core §3.1.2.1, ``id_token_hint``)."""

    error = "login_required"


def complete(
    request: HttpRequest, pending: PendingAuthorization, provider: Provider, success: Success
) -> PendingAuthorization:
    """Record that the person of *pending* proved who they are.

    ``immediate`` writes a new person now, ``lazy`` keeps it for the exchange. A user who exists is signed in
    on this browser.

    Raises:
        AccessDenied: The person may not sign in here, or is not the one whom the client asked for.
        InvalidGrant: The row moved on in another tab, or is over.
    """
    auth_time = success.auth_time or timezone.now()
    user, deferred = _settle(pending, provider, success, auth_time)
    if user is not None:
        log_in(request, user, auth_time=auth_time, amr=list(success.amr), acr=success.acr)
    pending.user, pending.is_deferred = user, deferred  # type: ignore[assignment]  # the host's user model
    pending.status, pending.auth_time = Status.AUTHENTICATED, auth_time
    return pending


def _settle(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime
) -> tuple[AbstractBaseUser | None, bool]:
    for attempt in range(ATTEMPTS):
        try:
            return _write(pending, provider, success, auth_time)
        except register.Taken:
            if attempt == ATTEMPTS - 1:
                raise AccessDenied("An account with this name or address exists already.") from None
        except register.Deactivated:
            raise AccessDenied("This account may not sign in.") from None
        except RegistrationRefused as refused:
            raise AccessDenied(refused.description) from None
    raise AssertionError("unreachable")


@begun_again
def _write(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime
) -> tuple[AbstractBaseUser | None, bool]:
    with transaction.atomic(using=router.db_for_write(PendingAuthorization)):
        return _write_at_once(pending, provider, success, auth_time)


def _write_at_once(
    pending: PendingAuthorization, provider: Provider, success: Success, auth_time: datetime
) -> tuple[AbstractBaseUser | None, bool]:
    identity = success.identity
    user = success.user or register.known_user(identity)
    if user is not None and not user.is_active:
        raise register.Deactivated
    if pending.subject_hint and (user is None or str(user.pk) != pending.subject_hint):
        raise SomebodyElse("The client asked for somebody else.")
    lazy = register.mode_of(provider) == "lazy"
    if user is None and not lazy:
        user, _ = register.write_person(identity, session_id=pending.pk, client=pending.client)
    moved = PendingAuthorization.objects.of_leg(pending).advance(
        pending.pk,
        from_status=(Status.SENT_UPSTREAM,),
        status=Status.AUTHENTICATED,
        state_digest=None,
        private="",
        user=user,
        is_deferred=user is None,
        auth_time=auth_time,
        amr=list(success.amr),
        acr=success.acr,
    )
    if not moved:
        raise InvalidGrant("This sign-in is over. Go back to the application and start again.")
    if user is not None:
        accounts.promote(user, identity)
    if user is None or (lazy and success.commit is not None):
        register.defer(pending, identity, success.commit)
    elif success.commit is not None:
        sessions.finalize(provider, success.commit, user=user, session_id=pending.pk)
    return user, user is None


# -- the browser's own session ---------------------------------------------------------------------------


def log_in(
    request: HttpRequest, user: AbstractBaseUser, *, auth_time: datetime, amr: list[str], acr: str
) -> None:
    """Sign the browser in on this site; Django changes the session key, so nothing can be fixated."""
    backends = settings.AUTHENTICATION_BACKENDS
    backend = MODEL_BACKEND if MODEL_BACKEND in backends else backends[0]
    login(request, user, backend=getattr(user, "backend", backend))  # type: ignore[arg-type]  # the same
    request.session[SESSION_KEY] = {"auth_time": auth_time.timestamp(), "amr": amr, "acr": acr}


def signed_in_since(request: HttpRequest) -> tuple[datetime, list[str], str]:
    """Return when and how the signed-in person proved who they are (``auth_time``, ``amr``, ``acr``)."""
    kept: dict[str, Any] = request.session.get(SESSION_KEY) or {}
    if "auth_time" in kept and BACKEND_SESSION_KEY in request.session:
        return datetime.fromtimestamp(kept["auth_time"], tz=UTC), list(kept["amr"]), kept["acr"]
    # Signed in by another page of the site: Django wrote down when.
    last_login: datetime | None = getattr(request.user, "last_login", None)
    return last_login or datetime.fromtimestamp(0, tz=UTC), [], ""


def resume(request: HttpRequest, bindings: list[str]) -> bool:
    """Sign in a browser that holds the binding of an exchanged lazy registration. Once per registration.

    Args:
        bindings: Secrets of the binding cookies that the browser sent.
    """
    if not bindings:
        return False
    now = timezone.now()
    finished = PendingAuthorization.objects.filter(
        binding_digest__in=[digest(secret) for secret in bindings],
        status=Status.EXCHANGED,
        is_deferred=True,
        resumed_at__isnull=True,
        exchanged_at__gt=now - lazyauth_settings.code_retention,
    ).select_related("user")
    for pending in finished.order_by("-exchanged_at"):
        # Asked of the object: not every user model has a column for it.
        if pending.user is None or not pending.user.is_active:
            continue
        unresumed = PendingAuthorization.objects.filter(pk=pending.pk, resumed_at__isnull=True)
        if again(partial(unresumed.update, resumed_at=now)):
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
    """Let the browser of an exchanged row sign in on its next visit, in the caller's transaction."""
    PendingAuthorization.objects.filter(pk=pending.pk, status=Status.EXCHANGED).update(
        is_deferred=True, resumed_at=None
    )


def forget(bindings: list[str]) -> None:
    """Let none of these bindings sign this browser in any more: somebody signed out here."""
    PendingAuthorization.objects.filter(
        binding_digest__in=[digest(secret) for secret in bindings],
        status=Status.EXCHANGED,
        is_deferred=True,
        resumed_at__isnull=True,
    ).update(resumed_at=timezone.now())
