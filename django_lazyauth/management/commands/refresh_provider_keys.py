"""``manage.py refresh_provider_keys [name …]``: fetch metadata and keys of the configured OpenID providers.

Run it at each deployment, so that the first sign-in does not wait for the provider.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_lazyauth.management.terminal import Terminal, add_json, require_known
from django_lazyauth.providers import key_refresh
from django_lazyauth.upkeep.periodic import noted


class Command(Terminal):
    help = "Fetch metadata and keys of the configured OpenID providers, now."
    example = "refresh_provider_keys google --due"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="name", help="Providers; all of type oidc if none.")
        parser.add_argument("--due", action="store_true", help="Only the providers that are due.")
        add_json(parser)

    def handle(self, *args: Any, names: list[str], due: bool, as_json: bool = False, **options: Any) -> None:
        require_known(names, key_refresh.openid_provider_names(), "provider with keys")
        with noted("refresh_provider_keys"):
            progress = self.progress()
            watch = partial(progress.show, "providers")
            reports = key_refresh.refresh_providers(names, force=not due, watch=watch)
            progress.clear()
        if as_json:
            found = {
                one.provider: one.outcome.value if one.outcome else f"failed: {one.detail}" for one in reports
            }
            self.print_json(found)
        for report in reports if not as_json else ():
            if report.outcome is not None:
                self.stdout.write(f"{report.provider}: {report.outcome.value}")
            else:
                self.stderr.write(f"{report.provider}: failed ({report.detail}); the stored keys stay")
        failed = sum(not report.ok for report in reports)
        if failed:
            raise CommandError(f"{failed} of {len(reports)} providers failed.", returncode=1)
