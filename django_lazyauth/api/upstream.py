"""The upstream's token in a DRF view, ``request.auth.upstream("github")``, and the HTTP answer where there is none.

Each error is both an exception of DRF and an error of ``upstream/fresh_token``. A view that catches nothing answers
401 with a challenge, 403, 503 with ``Retry-After``, or 409. A view may catch either.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
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
from django_lazyauth.tokens.grantee import Authentication
from django_lazyauth.upstream.fresh_token import UpstreamCredential, fresh_token


def _describe(exc: APIException, error: str, provider: str, description: str) -> None:
    body = {"error": error, "error_description": description, "provider": provider}
    exc.detail = body  # type: ignore[assignment]  # DRF takes a dict as well


class UpstreamNotConnected(BundleNotFound, PermissionDenied):
    """403: this session has no tokens of that provider."""

    def __init__(self, provider: str) -> None:
        super().__init__()
        _describe(self, "upstream_not_connected", provider, "This session has no account there.")


class UpstreamExpired(RefreshExpired, AuthenticationFailed):
    """401 with a challenge: the person has to sign in again."""

    def __init__(self, provider: str, code: str) -> None:
        super().__init__(provider, code)
        _describe(self, "upstream_expired", provider, "The person has to sign in there again.")


class UpstreamTransient(RefreshTransient, APIException):
    """503 with ``Retry-After``."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, provider: str, code: str) -> None:
        super().__init__(provider, code)
        #: What DRF puts into ``Retry-After``.
        self.wait = self.retry_after
        _describe(self, "upstream_unavailable", provider, "It does not answer at the moment.")


class UpstreamUnavailable(RefreshUnavailable, APIException):
    """409: the token expired, and it cannot be renewed."""

    status_code = HTTPStatus.CONFLICT

    def __init__(self, provider: str, code: str) -> None:
        super().__init__(provider, code)
        _describe(self, "upstream_not_renewable", provider, "There is nothing to renew the token with.")


OVER_HTTP: dict[type[RefreshError], type[Any]] = {
    RefreshExpired: UpstreamExpired,
    RefreshTransient: UpstreamTransient,
    RefreshUnavailable: UpstreamUnavailable,
}


@dataclass(frozen=True)
class UpstreamBearer(Bearer):
    """A valid access token of ours, with access to the upstream accounts of its session. ``request.auth``.

    It lives as long as its request and remembers each credential, so a permission class and its view ask once.
    """

    _known: dict[str, UpstreamCredential] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, bearer: Bearer) -> Self:
        """Return *bearer* with access to its upstream accounts."""
        return cls(**{field.name: getattr(bearer, field.name) for field in fields(bearer)})

    @cached_property
    def authentication(self) -> Authentication:
        """How and when the person signed in. One query, the first time."""
        return self.load_authentication()

    @property
    def auth_time(self) -> datetime | None:
        """When, as an aware time; ``None`` where it is not known."""
        return self.authentication.auth_time

    @property
    def amr(self) -> tuple[str, ...]:
        """By which methods (RFC 8176)."""
        return self.authentication.amr

    @property
    def acr(self) -> str:
        """How strongly: one of this site's context classes; empty where it is not known."""
        return self.authentication.acr

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
        if force or provider not in self._known:
            self._known[provider] = self._ask(provider, force, seen_version)
        return self._known[provider]

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


def UpstreamTokenPermission(provider: str) -> type[BasePermission]:  # noqa: N802 - it is used like a class
    """``permission_classes = [UpstreamTokenPermission("github")]``: the view runs only with a fresh token of GitHub.

    Otherwise 401 without one of our access tokens, or where the person has to sign in again; 403 where the session
    has no account there; 503 and 409 as the errors above.
    """

    class HasUpstreamToken(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            auth: object = request.auth
            if not isinstance(auth, UpstreamBearer):
                return False
            auth.upstream(provider)
            return True

    return HasUpstreamToken
