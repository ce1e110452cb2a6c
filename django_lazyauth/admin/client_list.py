"""What the list of clients offers: filters by last use, verification and state; and what operators do to clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, ngettext_lazy

from django_lazyauth.models import ClientRegistration, Ending
from django_lazyauth.toolkit import client_methods, clients
from django_lazyauth.toolkit.admin import CONFIDENTIAL, MANUAL, OF_DOCUMENT

from . import rooms
from .acts import Act, Done, HasActs, entries
from .base import END_ALL, ShowsOnce, count_all_of, end_all_of
from .large import ConditionFilter

BESIDE: Final = clients.REGISTRATION
RECENT = timedelta(days=30)


def _beside(**conditions: Any) -> Q:
    """Return conditions on the registration that stands beside a client's row."""
    return Q(**{f"{BESIDE}__{name}": value for name, value in conditions.items()})


def _keys(condition: Q) -> Any:
    return clients.get_client_model().objects.filter(condition).order_by().values("pk")


def _never_used() -> Q:
    """Return the condition by two lists of keys. Each has an index, and "or" between two tables has none."""
    unused = ClientRegistration.objects.filter(last_used_at__isnull=True).values("client")
    unknown = _keys(Q(registration_source__in=[MANUAL, OF_DOCUMENT]) & _beside(isnull=True))
    return Q(pk__in=unused.union(unknown, all=True))


class LastUsedFilter(ConditionFilter):
    title = _("last used")
    parameter_name = "used"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        since = timezone.now() - RECENT
        return [
            ("recent", _("In the past 30 days"), _beside(last_used_at__gte=since)),
            ("longer", _("Longer ago"), _beside(last_used_at__lt=since)),
            ("never", _("Never, as far as is known"), _never_used()),
        ]


class VerificationFilter(ConditionFilter):
    title = _("verification")
    parameter_name = "verified"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        is_manual = Q(registration_source=MANUAL)
        verified = ClientRegistration.objects.filter(verified_at__isnull=False).values("client")
        is_known = Q(pk__in=_keys(is_manual).union(verified, all=True))
        return [
            ("no", _("Unverified"), ~is_manual & _beside(verified_at__isnull=True)),
            ("yes", _("Verified, or made by an operator"), is_known),
        ]


class StateFilter(ConditionFilter):
    title = _("state")
    parameter_name = "state"

    def choices_of_list(self) -> list[tuple[str, Promise, Q]]:
        return [
            ("works", _("Works"), _beside(disabled_at__isnull=True)),
            ("disabled", _("Disabled"), _beside(disabled_at__isnull=False)),
            ("waits", _("Expires unless used"), _beside(expires_at__isnull=False)),
        ]


# -- acts ------------------------------------------------------------------------------------------------------

VERIFY: Final = "lazyauth.verify_client"
DISABLE: Final = "lazyauth.disable_client"
RENEW: Final = "lazyauth.renew_client_secret"
FETCH: Final = "lazyauth.fetch_client_keys"


def uses_secret(client: Any) -> bool:
    """Say whether a secret would authenticate the client. One with a key may have none."""
    return client.client_type == CONFIDENTIAL and client_methods.may_use_secret(client)


def has_keys_uri(client: Any) -> bool:
    return bool(client_methods.keys_uri(client))


def _targets(rows: list[Any]) -> dict[tuple[Any, str], str]:
    return {(Ending.CLIENT, str(client.pk)): str(client) for client in rows}


def _decide(
    name: str, said: str, words: Any, level: int, request: HttpRequest, rows: list[Any], why: str
) -> Done:
    decide: Callable[[list[Any]], int] = getattr(rooms.operator_actions, name)
    count = decide([client.pk for client in rows])
    return Done(entries(rows, said), words % count, level)


def _fetch_keys(request: HttpRequest, rows: list[Any], why: str) -> Done:
    count = sum(rooms.client_keys.fetch_now(client) for client in rows)
    said = ngettext("The keys of %d client are fetched.", "The keys of %d clients are fetched.", count)
    return Done(entries(rows, "Fetched its keys."), said % count)


def _fetch_logos(request: HttpRequest, rows: list[Any], why: str) -> Done:
    rooms.logo.fetch_soon([client.pk for client in rows])
    said = ngettext("The logo of %d client is fetched.", "The logos of %d clients are fetched.", len(rows))
    return Done(entries(rows, "Fetched its logo."), said % len(rows))


def _has_logo(client: Any) -> bool:
    return bool(rooms.logo.address_of(client))


def _end_all(request: HttpRequest, rows: list[Any], why: str) -> Done:
    return end_all_of(request, _targets(rows), rows, why)


def _decision(
    name: str,
    label: Promise,
    warning: Promise,
    permission: str,
    said: str,
    words: Any,
    level: int = messages.SUCCESS,
) -> Act:
    act_of = {"unverify": "withdraw_verification"}
    run = partial(_decide, name, said, words, level)
    return Act(act_of.get(name, name), label, warning, permission, run)


ACTS: Final = (
    _decision(
        "verify",
        _("Verify: stand for who they are"),
        _("Pages no longer call them unverified, and they never expire."),
        VERIFY,
        "Verified.",
        ngettext_lazy("%d client is verified.", "%d clients are verified."),
    ),
    _decision(
        "unverify",
        _("Withdraw the verification"),
        _("Pages call them unverified again."),
        VERIFY,
        "Verification withdrawn.",
        ngettext_lazy("%d client is unverified.", "%d clients are unverified."),
    ),
    _decision(
        "disable",
        _("Disable: refuse them from now on"),
        _(
            "They and their tokens are refused at once, and sign-ins under way end. "
            "The tokens stay until they are enabled."
        ),
        DISABLE,
        "Disabled.",
        ngettext_lazy("%d client is disabled.", "%d clients are disabled."),
        messages.WARNING,
    ),
    _decision(
        "enable",
        _("Enable"),
        _("They and those of their tokens that have not expired work again."),
        DISABLE,
        "Enabled.",
        ngettext_lazy("%d client works.", "%d clients work."),
    ),
    Act(
        "end_all_at",
        _("End all their sessions"),
        _("Everybody is signed out of these applications. Disable them first if nobody may come back."),
        END_ALL,
        _end_all,
        count=lambda rows: count_all_of(_targets(rows)),
    ),
    Act(
        "fetch_keys",
        _("Fetch their keys now"),
        _("The address of their keys is asked, once in 30 seconds."),
        FETCH,
        _fetch_keys,
        is_possible=has_keys_uri,
        is_on_page=False,
    ),
    Act(
        "fetch_logo",
        _("Fetch their logos now"),
        _("Pages show the new picture where it can be fetched, and else the last one."),
        VERIFY,
        _fetch_logos,
        is_possible=_has_logo,
    ),
)


class ClientActs(ShowsOnce, HasActs):
    """The acts of the list of clients."""

    def acts(self) -> Sequence[Act]:
        return (
            *ACTS,
            Act(
                "new_secret",
                _("New secret"),
                _(
                    "The secret that the client has now stops working at once. The new one is shown on the next page, "
                    "and never again."
                ),
                RENEW,
                self._new_secret,
                is_possible=uses_secret,
                is_of_one=True,
            ),
        )

    def _new_secret(self, request: HttpRequest, rows: list[Any], why: str) -> Done:
        [client] = rows
        return Done(entries(rows, "New secret."), response=self.show_new_secret(request, client))

    def show_new_secret(self, request: HttpRequest, client: Any) -> HttpResponse:
        secret = rooms.operator_actions.new_secret(client.pk)
        title = _("The secret of %s") % client
        return self.show_once(request, client, title=title, label=_("Client secret"), value=secret)
