"""System checks with stable ids. Broken settings are errors always; weak ones are errors of ``check --deploy``.

Ids below ``E100`` report what cannot work, from ``E100`` on what must not be deployed. An id never gets a second
meaning.

The app registers the checks at each start. What they need is imported when they run: it is most of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, register

TAG = "lazyauth"


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that every setting can be read, and that everything it names can be loaded."""
    from django_lazyauth.conf.messages import refused_values, unknown_names

    from . import code, database, development, providers

    return [
        *unknown_names(),
        *refused_values(),
        *code.check_keys(),
        *code.check_classes(),
        *code.check_validator(),
        *code.check_scopes(),
        *code.check_runners(),
        *providers.check_providers(),
        *providers.check_domains(),
        *providers.check_named_providers(),
        *providers.check_id_jags(),
        *database.check_databases(),
        *development.check_development(),
    ]


def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no setting is weaker than what we promise (THREAT_MODEL, secure defaults)."""
    from . import deploy

    return [
        *deploy.check_transport(),
        *deploy.check_site(),
        *deploy.check_secrets(),
        *deploy.check_audiences(),
        *deploy.check_devices(),
        *deploy.check_delegation(),
        *deploy.check_limits(),
    ]


def check_pooler(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that a pooler in front of PostgreSQL does not break what the database promises."""
    from . import database

    return database.check_pooler(app_configs, **kwargs)


def check_provider_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the keys of providers are refreshed."""
    from . import database

    return database.check_provider_keys(app_configs, **kwargs)


def check_subject_rules(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the people of each provider are found by its rule."""
    from . import database

    return database.check_subject_rules(app_configs, **kwargs)


def check_assertion_clients(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the clients that the settings trust with another audience are the operator's."""
    from . import database

    return database.check_assertion_clients(app_configs, **kwargs)


def check_exchanging_clients(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the clients that may exchange tokens exist, and prove themselves."""
    from . import database

    return database.check_exchanging_clients(app_configs, **kwargs)


def check_sectors(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that each client belongs to one sector."""
    from . import database

    return database.check_sectors(app_configs, **kwargs)


def check_redirect_uris(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the clients of operators can sign people in."""
    from . import database

    return database.check_redirect_uris(app_configs, **kwargs)


#: They ask the database, and run with ``manage.py check --database default``.
OF_DATABASE: Final = (
    check_pooler,
    check_provider_keys,
    check_subject_rules,
    check_assertion_clients,
    check_exchanging_clients,
)
#: They look through the clients, which no page may do.
OF_CLIENTS: Final = (check_sectors, check_redirect_uris)


def ask_database(databases: Sequence[str]) -> list[CheckMessage]:
    """Return what the first of them say, and no check of others. The admin shows it."""
    return [message for check in OF_DATABASE for message in check(None, databases=databases)]


def register_checks() -> None:
    """Register the checks. The app config calls it once."""
    register(check_settings, TAG)
    register(check_deployment, TAG, deploy=True)
    for check in (*OF_DATABASE, *OF_CLIENTS):
        register(check, Tags.database)
