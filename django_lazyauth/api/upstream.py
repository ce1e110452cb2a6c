"""The upstream's token in a DRF view: ``request.auth.upstream("github")``, and what its absence is over HTTP.

Each error is a DRF exception and the flow's own at once: a view that does nothing answers properly (401 with a
challenge, 403, 503 with ``Retry-After``, 409), and one that knows better catches what the flow raises.
"""

from __future__ import annotations

from dataclasses import fields
from http import HTTPStatus
from typing import Any, Self

from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from django_lazyauth.errors import (
    BundleNotFound,
    RefreshError,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
)
from django_lazyauth.tokens.bearer import Bearer
from django_lazyauth.upstream.fresh_token import UpstreamCredential, fresh_token


def _detail(error: str, provider: str, description: str) -> dict[str, str]:
    return {"error": error, "error_description": description, "provider": provider}


class UpstreamNotConnected(BundleNotFound, PermissionDenied):
    """403: this session has no tokens of that provider."""

    def __init__(self, provider: str) -> None:
        super().__init__()
        self.detail = _detail(  # type: ignore[assignment]  # DRF takes a dict as well
            "upstream_not_connected", provider, "This session has no account there."
        )


class UpstreamExpired(RefreshExpired, AuthenticationFailed):
    """401 with a challenge: signing in again connects the account anew."""

    def __init__(self, provider: str, code: str) -> None:
        super().__init__(provider, code)
        self.detail = _detail(  # type: ignore[assignment]  # DRF takes a dict as well
            "upstream_expired", provider, "The person has to sign in there again."
        )


class UpstreamTransient(RefreshTransient, APIException):
    """503 with ``Retry-After``."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, provider: str, code: str) -> None:
        super().__init__(provider, code)
        #: What DRF puts into ``Retry-After``.
        self.wait = self.retry_after
        self.detail = _detail(  # type: ignore[assignment]  # DRF takes a dict as well
            "upstream_unavailable", provider, "It does not answer at the moment."
        )


class UpstreamUnavailable(RefreshUnavailable, APIException):
    """409: the token is over, and there is nothing to renew it with."""

    status_code = HTTPStatus.CONFLICT

    def __init__(self, provider: str, code: str) -> None:
        super().__init__(provider, code)
        self.detail = _detail(  # type: ignore[assignment]  # DRF takes a dict as well
            "upstream_not_renewable", provider, "There is nothing to renew the token with."
        )


OVER_HTTP: dict[type[RefreshError], type[Any]] = {
    RefreshExpired: UpstreamExpired,
    RefreshTransient: UpstreamTransient,
    RefreshUnavailable: UpstreamUnavailable,
}


class UpstreamBearer(Bearer):
    """A good access token of ours, which opens the upstream accounts of its session. ``request.auth``.

    It lives as long as its request, and what it got once it gives again: a guard and its view ask once.
    """

    @classmethod
    def of(cls, bearer: Bearer) -> Self:
        return cls(**{field.name: getattr(bearer, field.name) for field in fields(bearer)})

    def upstream(
        self, provider: str, *, force: bool = False, seen_version: int | None = None
    ) -> UpstreamCredential:
        """Return a fresh credential of *provider* for the person behind this token. Two queries, the first time.

        Args:
            provider: Logical name.
            force, seen_version: After a 401 of the upstream; see :func:`.fresh_token.fresh_token`.

        Raises:
            UpstreamNotConnected, UpstreamExpired, UpstreamTransient, UpstreamUnavailable: 403, 401, 503, 409.
        """
        got: dict[str, UpstreamCredential] = self.__dict__.setdefault("got", {})
        if force or provider not in got:
            got[provider] = self._ask(provider, force, seen_version)
        return got[provider]

    def _ask(self, provider: str, force: bool, seen_version: int | None) -> UpstreamCredential:
        session_id = self.session_id
        if session_id is None or self.user is None:
            raise UpstreamNotConnected(provider)
        try:
            return fresh_token(
                session_id,
                provider,
                user_id=self.user.pk,
                client_id=self.client.pk,
                force=force,
                seen_version=seen_version,
            )
        except BundleNotFound:
            raise UpstreamNotConnected(provider) from None
        except RefreshError as error:
            raise OVER_HTTP[type(error)](error.provider, error.code) from None


def UpstreamTokenPermission(provider: str) -> type[BasePermission]:  # noqa: N802 - it stands where classes stand
    """``permission_classes = [UpstreamTokenPermission("github")]``: the view runs with a good token there, or not.

    401 without one of our access tokens, or where the upstream wants the person to sign in again; 403 where the
    session has no account there; 503 and 409 as the errors say.
    """

    class HasUpstreamToken(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            auth: object = request.auth
            if not isinstance(auth, UpstreamBearer):
                return False
            auth.upstream(provider)
            return True

    return HasUpstreamToken
