"""This site as the issuer of the tokens that its own API accepts: keys from the settings, users from its database."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import QuerySet
from django.utils.functional import SimpleLazyObject, empty
from rest_framework.exceptions import AuthenticationFailed

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.grants.resource_metadata import resource_metadata_url
from django_lazyauth.openid.access_token import AccessToken
from django_lazyauth.openid.key_set import KeySet
from django_lazyauth.openid.resource_indicators import lies_below, same_resource
from django_lazyauth.tokens.bearer import find_bearer, find_bound
from django_lazyauth.tokens.keys import PublishedKeySet, public_key_set, published_key_set
from django_lazyauth.users.subjects import users_called


class ThisIssuer:
    """See :class:`~django_lazyauth.resource_server.local.LocalIssuer`."""

    def issuer(self) -> str:
        try:
            return lazyauth_settings.issuer
        except ImproperlyConfigured:
            return ""  # No token is from it. manage.py check reports it.

    def keys(self) -> KeySet:
        return _keys(published_key_set())

    def user_of(self, token: AccessToken) -> Any:
        return AnonymousUser() if token.is_of_client else LazyUser(token.subject)

    def standing_user_of(self, raw: str, token: AccessToken) -> Any | None:
        bearer = find_bound(raw) if "cnf" in token.claims else find_bearer(raw)
        return None if bearer is None else bearer.user or AnonymousUser()

    def covers(self, audience: str, request_uri: str) -> bool:
        return same_resource(audience, self.issuer()) or lies_below(request_uri, audience)

    def resource_metadata_url(self, path: str) -> str | None:
        return resource_metadata_url(path)


@lru_cache(maxsize=8)
def _keys(published: PublishedKeySet) -> KeySet:
    return KeySet.from_jwks(public_key_set())


if TYPE_CHECKING:
    LazyObject = SimpleLazyObject[Any]
else:
    LazyObject = SimpleLazyObject


class LazyUser(LazyObject):
    """The user of a token that was checked offline. The row is loaded when more than the primary key is read,
    or even that where ``SUBJECT_TYPE`` is not ``public``.

    Until then the account counts as unchanged since the token was issued. If it was deleted or deactivated since,
    loading it ends the request with 401.
    """

    is_authenticated = True
    is_anonymous = False

    def __init__(self, subject: str) -> None:
        self.__dict__["_subject"] = subject
        super().__init__(_loader(subject))

    def __bool__(self) -> bool:
        # Permission classes call this for every user, and the wrapped user would be loaded for it.
        return True

    @property
    def pk(self) -> Any:
        """The primary key; no query where tokens call people by it."""
        if self._wrapped is empty and lazyauth_settings.subject_type == "public":
            return _primary_key(self.__dict__["_subject"])
        if self._wrapped is empty:
            self._setup()
        return self._wrapped.pk


def _loader(subject: str) -> Callable[[], Any]:
    def load() -> Any:
        user = _users(subject).first()
        if user is None or not user.is_active:
            raise AuthenticationFailed("The account of this token may not sign in any more.")
        return user

    return load


def _users(subject: str) -> QuerySet[Any]:
    if lazyauth_settings.subject_type == "public":
        return get_user_model()._default_manager.filter(pk=_primary_key(subject))
    return users_called(subject)


def _primary_key(subject: str) -> Any:
    try:
        return get_user_model()._meta.pk.to_python(subject)
    except ValidationError:
        raise AuthenticationFailed("The access token names no user of this site.") from None
