"""System checks with stable ids. Broken settings are errors always; weak ones are errors of ``check --deploy``.

Ids below ``E100`` report what cannot work, from ``E100`` on what must not be deployed. An id never gets a second
meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, register

from django_lazyauth.conf.messages import refused_values, unknown_names

from . import code, database, deploy, providers

TAG = "lazyauth"


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that every setting can be read, and that everything it names can be loaded."""
    return [
        *unknown_names(),
        *refused_values(),
        *code.check_keys(),
        *code.check_classes(),
        *code.check_runners(),
        *providers.check_providers(),
        *providers.check_domains(),
        *providers.check_named_providers(),
        *database.check_databases(),
    ]


def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no setting is weaker than what we promise (THREAT_MODEL, secure defaults)."""
    return [
        *deploy.check_transport(),
        *deploy.check_site(),
        *deploy.check_secrets(),
        *deploy.check_limits(),
    ]


def register_checks() -> None:
    """Register the checks. The app config calls it once."""
    register(check_settings, TAG)
    register(check_deployment, TAG, deploy=True)
    register(database.check_pooler, Tags.database)
