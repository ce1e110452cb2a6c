"""``manage.py refresh_provider_keys [name …]``: fetch metadata and keys of the configured OpenID providers.

Run it at each deployment, so that the first sign-in does not wait for the provider.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_lazyauth.providers import key_refresh


class Command(BaseCommand):
    help = "Fetch metadata and keys of the configured OpenID providers, now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="name", help="Providers; all of type oidc if none.")
        parser.add_argument("--due", action="store_true", help="Only the providers that are due.")

    def handle(self, *args: Any, names: list[str], due: bool, **options: Any) -> None:
        reports = key_refresh.refresh_providers(names, force=not due)
        for report in reports:
            if report.outcome is not None:
                self.stdout.write(f"{report.provider}: {report.outcome.value}")
            else:
                self.stderr.write(f"{report.provider}: failed ({report.detail}); the stored keys stay")
        failed = sum(not report.ok for report in reports)
        if failed:
            raise CommandError(f"{failed} of {len(reports)} providers failed.", returncode=1)
