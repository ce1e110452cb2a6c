"""``manage.py check_provider [NAME …]``: does each provider know this site, and does what it publishes fit?

A company domain is named as ``sso:corp.example``.

It exits with 0 if all is well, 1 if something has to be fixed, and 2 if a provider could not be asked.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DatabaseError

from django_lazyauth.checks.finding import exit_status
from django_lazyauth.checks.provider_report import check_providers
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.management.terminal import Terminal, require_known
from django_lazyauth.openid.descriptor import SSO_PREFIX

_MARKS: Final = {"ok": "ok  ", "note": "note", "fix": "fix ", "unasked": "?   "}


class Command(Terminal):
    help = "Ask the configured providers whether they know this site, and say what has to be fixed."
    example = "check_provider google --json"
    #: It says itself what is wrong with an entry.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="Providers, and domains as sso:corp.example; every configured one if none.",
        )
        parser.add_argument("--offline", action="store_true", help="Send no request.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *args: Any, names: list[str], offline: bool, json: bool, **options: Any) -> None:
        named = [name for name in names if not name.startswith(SSO_PREFIX)]
        require_known(named, lazyauth_settings.providers, "provider")
        try:
            reports = check_providers(names, offline=offline)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except DatabaseError:
            raise CommandError("A table of this app cannot be read. Run manage.py migrate first.") from None
        if json:
            self.stdout.write(_as_json(reports))
        else:
            for report in reports:
                self.stdout.write(f"{report.provider}: {report.state}")
                for finding in report.findings:
                    self.stdout.write(f"  {_MARKS[finding.level]} {finding.about}: {finding.text}")
        if status := exit_status(reports):
            sys.exit(status)


def _as_json(reports: list[Any]) -> str:
    return json.dumps({"providers": [report.as_json() for report in reports]}, indent=2)
