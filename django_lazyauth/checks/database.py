"""Do the databases carry what an exchange does?"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import connections, router

from django_lazyauth.models import PendingAuthorization, ProviderIdentity, UpstreamToken
from django_lazyauth.toolkit.clients import token_models


def check_databases() -> Iterator[CheckMessage]:
    models = [PendingAuthorization, ProviderIdentity, UpstreamToken, get_user_model(), *token_models()]
    if len({router.db_for_write(model) for model in models}) > 1:
        yield Error(
            "Users, tokens and the rows of this app must live in one database: an exchange is one transaction.",
            id="lazyauth.E010",
        )
    if not settings.USE_TZ:
        yield Error(
            "USE_TZ is off: times of tokens, codes and upstreams are compared as aware times.",
            hint="Set USE_TZ = True.",
            id="lazyauth.E013",
        )
    connection = connections[router.db_for_write(PendingAuthorization)]
    if (
        connection.vendor == "sqlite"
        and connection.settings_dict["OPTIONS"].get("transaction_mode") != "IMMEDIATE"
    ):
        yield CheckWarning(
            "Two exchanges at once may fail on SQLite with its default transaction mode.",
            hint='Set DATABASES["default"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".',
            id="lazyauth.W001",
        )
    if connections[router.db_for_write(UpstreamToken)].settings_dict["ATOMIC_REQUESTS"]:
        yield CheckWarning(
            "With ATOMIC_REQUESTS a view cannot refresh an upstream token, because a transaction is open.",
            hint="Mark such views with transaction.non_atomic_requests.",
            id="lazyauth.W040",
        )
