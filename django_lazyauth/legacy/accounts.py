"""Tables of other apps in this site's database: an account is an identity, and what it holds are tokens.

They are read only; ``--prune`` deletes what was read back. Their tokens belong to no session of ours and to no
client. Each account gets a session of its own, always the same one, and one client stands for the whole app.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from django.apps import apps
from django.db import connections
from django.db.models import Model, QuerySet

from django_lazyauth.openid.descriptor import IDENTIFIER_LIMIT
from django_lazyauth.providers.base import Identity
from django_lazyauth.providers.registry import configured_issuer, upstream_types
from django_lazyauth.toolkit.clients import app_client

from .names import AppNames
from .report import MigrationStopped, Problem, Reason
from .source import LegacyRow, Malformed, Models, Source, text

EMAIL_LIMIT, NAME_LIMIT = 256, 128


class AddressOnly(ValueError):
    """The account is known by an e-mail address."""


class AccountSource(Source):
    """The accounts of an app that signed people in before us."""

    #: ``app label.model`` of its accounts, the app's name in ``INSTALLED_APPS``, and the id of the client.
    account_model: ClassVar[str]
    app: ClassVar[str]
    client_id: ClassVar[str]

    def __init__(self, models: Models, *, prune: bool = False, dry_run: bool = False) -> None:
        super().__init__(models)
        if not apps.is_installed(self.app):
            raise MigrationStopped(f"--source {self.name} needs {self.app} in INSTALLED_APPS.")
        self.accounts: type[Model] = apps.get_model(self.account_model)
        self.prune = prune
        client = app_client(self.client_id, name=f"Moved from {self.name}", make=not dry_run)
        # A dry run writes no client either; then there is no key yet.
        self.client_key = client.pk if client is not None else 0

    @abstractmethod
    def rows_of(self, accounts: Sequence[Any]) -> Iterator[LegacyRow | Problem]:
        """Yield what *accounts* hold."""

    @property
    def _rows(self) -> QuerySet[Any]:
        return self.accounts._default_manager.using(self.models.using)

    def names(self, chosen: str | None) -> AppNames:
        present = set(self._rows.order_by().values_list("provider", flat=True).distinct())
        return AppNames(chosen, present)

    def total(self) -> int:
        return self._rows.count()

    def pages(self, size: int) -> Iterator[tuple[Sequence[Any], int]]:
        last = 0
        while page := list(self._rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:size]):
            last = page[-1]
            yield page, len(page)

    def read(self, handles: Sequence[Any], *, lock: bool) -> list[LegacyRow | Problem]:
        accounts = self._rows.filter(pk__in=handles).order_by("pk")
        if lock and connections[self.models.using].features.has_select_for_update:
            accounts = accounts.select_for_update()
        return list(self.rows_of(list(accounts)))

    def retire(self, rows: Sequence[LegacyRow]) -> list[LegacyRow]:
        if self.prune:
            self._rows.filter(pk__in={row.handle for row in rows}).delete()
        return []

    def session_of(self, pk: Any) -> UUID:
        """Return the session that the tokens of one row get, in every run the same."""
        return uuid5(NAMESPACE_URL, f"lazyauth:{self.name}:{pk}")


def identity_of(uid: Any, extra: Any, *, is_address_allowed: bool = False) -> Identity:
    """Return who an account is, of its id and of what the upstream told the app.

    Raises:
        Malformed: It cannot be kept.
        AddressOnly: The id is an e-mail address, and nothing says the subject. An address links nobody (I6).
    """
    told = _claims(extra)
    subject = text(told.get("sub") or uid, limit=IDENTIFIER_LIMIT)
    if not subject:
        raise Malformed
    if subject == uid and "@" in subject and told.get("sub") != subject and not is_address_allowed:
        raise AddressOnly
    email = _or_nothing(told.get("email"), EMAIL_LIMIT)
    return Identity(
        provider="",
        subject=subject,
        issuer=_or_nothing(told.get("iss"), IDENTIFIER_LIMIT),
        email=email,
        email_verified=bool(email) and told.get("email_verified") is True,
        name=_or_nothing(told.get("name") or told.get("fullname"), NAME_LIMIT),
    )


def _claims(extra: Any) -> Mapping[str, Any]:
    """Return what was told of the person: on top, or as ID token claims and userinfo below it."""
    if not isinstance(extra, Mapping):
        return {}
    claims = dict(extra)
    for name in ("userinfo", "id_token"):
        if isinstance(extra.get(name), Mapping):
            claims |= extra[name]
    return claims


def _or_nothing(value: Any, limit: int) -> str:
    """Return a text that is there to be shown; what cannot be kept is left out."""
    try:
        return text(value, limit=limit)
    except Malformed:
        return ""


def issuer_differs(name: str, issuer: str) -> bool:
    """Say whether *issuer* is known and another one than that of the provider *name* (I19)."""
    if not issuer:
        return False
    configured = configured_issuer(name) if upstream_types().get(name) == "oidc" else ""
    return bool(configured) and issuer.rstrip("/") != configured.rstrip("/")


def problem_of(key: str, error: Exception) -> Problem:
    return Problem.of(key, Reason.SUBJECT_IS_ADDRESS if isinstance(error, AddressOnly) else Reason.MALFORMED)
