"""The caller on a site without users of the issuer. Everything comes from the token; nothing is looked up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from django_lazyauth.openid.access_token import AccessToken


@dataclass(frozen=True, slots=True)
class Principal:
    """``request.user`` of a resource server without users of its own.

    It is not in this site's user table and has no permission there. Its ``pk`` contains the issuer, so that it
    cannot be the key of a local row.
    """

    token: AccessToken

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True
    is_staff: ClassVar[bool] = False
    is_superuser: ClassVar[bool] = False

    @property
    def sub(self) -> str:
        """The subject of the token, unique within the issuer."""
        return self.token.subject

    @property
    def client_id(self) -> str:
        return self.token.client_id

    @property
    def scopes(self) -> frozenset[str]:
        return self.token.scopes

    @property
    def pk(self) -> str:
        """Unique across issuers. Django REST framework throttles by it."""
        return f"{self.token.issuer}#{self.token.subject}"

    def get_username(self) -> str:
        return self.pk

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return False

    def has_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool:
        return False

    def has_module_perms(self, app_label: str) -> bool:
        return False

    def __str__(self) -> str:
        return self.pk
