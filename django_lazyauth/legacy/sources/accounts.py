"""Tables of other apps in this site's database: an account is an identity with tokens.

The tables are only read, unless ``--prune`` deletes the moved rows. Their tokens belong to no session and no client of
ours. So each account gets a session of its own, the same in every run, and one client stands for the whole app.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from django.apps import apps
from django.db import connections
from django.db.models import Model, QuerySet

from django_lazyauth.legacy.names import AppNames
from django_lazyauth.legacy.report import MigrationStopped, Problem, Reason
from django_lazyauth.legacy.source import LegacyRow, Malformed, Models, Source, text
from django_lazyauth.openid.provider_kinds import IDENTIFIER_LIMIT
from django_lazyauth.providers.base import Identity
from django_lazyauth.toolkit.clients import app_client

from .subjects import ForeignSubject, SubjectRules, Subjects

EMAIL_LIMIT, NAME_LIMIT = 256, 128


class AddressOnly(ValueError):
    """The account is keyed on an e-mail address."""


class AccountSource(Source):
    """The accounts of an app that signed people in before."""

    #: ``app label.model`` of its accounts, the app's name in ``INSTALLED_APPS``, and the id of the client.
    account_model: ClassVar[str]
    app: ClassVar[str]
    client_id: ClassVar[str]

    def __init__(
        self,
        models: Models,
        *,
        prune: bool = False,
        dry_run: bool = False,
        subjects: SubjectRules | None = None,
    ) -> None:
        super().__init__(models)
        self.rules = subjects or SubjectRules()
        self.subjects: Subjects | None = None
        if not apps.is_installed(self.app):
            raise MigrationStopped(f"--source {self.name} needs {self.app} in INSTALLED_APPS.")
        self.accounts: type[Model] = apps.get_model(self.account_model)
        self.prune = prune
        client = app_client(self.client_id, name=f"Moved from {self.name}", make=not dry_run)
        # A dry run writes no client, so there may be no key yet.
        self.client_key = client.pk if client is not None else 0

    @abstractmethod
    def rows_of(self, accounts: Sequence[Any]) -> Iterator[LegacyRow | Problem]:
        """Yield the rows of *accounts*."""

    @property
    def _rows(self) -> QuerySet[Any]:
        return self.accounts._default_manager.using(self.models.using)

    def names(self, chosen: str | None) -> AppNames:
        present = set(self._rows.order_by().values_list("provider", flat=True).distinct())
        names = AppNames(chosen, present)
        self.subjects = Subjects(names, self.rules)
        return names

    @abstractmethod
    def uid_is(self, account: Any) -> Collection[str] | None:
        """Return the claims that the id of *account* is; ``None`` for a provider of the host's own."""

    def identity(self, account: Any, extra: Any, *, is_address_allowed: bool = False) -> Identity:
        """Return the identity of *account*; see :func:`identity_of`.

        Raises:
            ForeignSubject: It does not say under which subject our sign-in will know the person.
        """
        subjects = self.subjects or Subjects(self.names(None), self.rules)
        claims = _claims(extra)
        subject = subjects.find(account.uid, claims, account.provider, uid_is=self.uid_is(account))
        return identity_of(account.uid, subject, claims, is_address_allowed=is_address_allowed)

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
        """Return the session id for the tokens of one row. It is the same in every run."""
        return uuid5(NAMESPACE_URL, f"lazyauth:{self.name}:{pk}")


def identity_of(
    uid: Any, found: Any, claims: Mapping[str, Any], *, is_address_allowed: bool = False
) -> Identity:
    """Return the identity of an account, from its id, the subject that was found and the claims that the app stored.

    Raises:
        Malformed: A value cannot be stored.
        AddressOnly: The id is an e-mail address, and no claim gives the subject. An address links nobody (I6).
    """
    subject = text(found, limit=IDENTIFIER_LIMIT)
    if not subject:
        raise Malformed
    if subject == uid and "@" in subject and claims.get("sub") != subject and not is_address_allowed:
        raise AddressOnly
    email = _display_text(claims.get("email"), EMAIL_LIMIT)
    return Identity(
        provider="",
        subject=subject,
        issuer=_display_text(claims.get("iss"), IDENTIFIER_LIMIT),
        email=email,
        email_verified=bool(email) and claims.get("email_verified") is True,
        name=_display_text(claims.get("name") or claims.get("fullname"), NAME_LIMIT),
    )


def _claims(extra: Any) -> Mapping[str, Any]:
    """Return the claims about the person. Some apps store them inside ``id_token`` and ``userinfo``."""
    if not isinstance(extra, Mapping):
        return {}
    claims = dict(extra)
    for name in ("userinfo", "id_token"):
        if isinstance(extra.get(name), Mapping):
            claims |= extra[name]
    return claims


def _display_text(value: Any, limit: int) -> str:
    """Return a text for display; empty if it cannot be stored."""
    try:
        return text(value, limit=limit)
    except Malformed:
        return ""


def problem_of(key: str, error: Exception) -> Problem:
    if isinstance(error, ForeignSubject):
        return Problem.of(key, Reason.SUBJECT_FOREIGN)
    return Problem.of(key, Reason.SUBJECT_IS_ADDRESS if isinstance(error, AddressOnly) else Reason.MALFORMED)
