"""The command ``manage.py migrate_legacy_tokens``: its options, and its report as text or JSON."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _StoreAction
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_lazyauth.legacy.migrate import BATCH_SIZE, MAX_BATCH_SIZE, Options, migrate
from django_lazyauth.legacy.progress import show_progress
from django_lazyauth.legacy.report import EXPLAINED, MigrationStopped, Report
from django_lazyauth.legacy.source import Models, Source
from django_lazyauth.legacy.sources.allauth import AllauthSource
from django_lazyauth.legacy.sources.redis import RedisSource
from django_lazyauth.legacy.sources.social_auth import SocialAuthSource
from django_lazyauth.legacy.sources.subjects import SubjectRules
from django_lazyauth.legacy.sources.table import TableSource

#: The environment variable of the URL. Arguments of a process are visible to every user of the machine.
URL_VARIABLE = "LAZYAUTH_LEGACY_REDIS_URL"
SOURCES = ("table", "redis", "allauth", "social-auth")


class Once(_StoreAction):
    """An option that may be given only once."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option: str | None = None
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            parser.error(f"{option} may be given once only.")
        super().__call__(parser, namespace, values, option)


def _count(limit: int | None = None) -> Any:
    def read(value: str) -> int:
        number = int(value) if value.isascii() and value.isdigit() else 0
        if number < 1 or (limit is not None and number > limit):
            raise ArgumentTypeError(f"must be a whole number, 1 to {limit}" if limit else "must be 1 or more")
        return number

    return read


class Command(BaseCommand):
    help = (
        "Move upstream tokens and identities of earlier deployments in. It may run during traffic, be killed, be"
        " repeated and run twice at once. The exit status is 1 if a row could not be moved. Such rows stay."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        example = "Example: manage.py migrate_legacy_tokens --source redis --dry-run"
        return super().create_parser(prog_name, subcommand, epilog=example, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source", choices=SOURCES, default="table", help="where the rows are (%(default)s)"
        )
        parser.add_argument(
            "--url",
            help=f"redis://…, rediss://…, redis+sentinel://…, redis+cluster://…; better in {URL_VARIABLE}",
        )
        parser.add_argument("--prefix", default="", help="the prefix of upstream:<session id> in its keys")
        parser.add_argument(
            "--provider", action=Once, metavar="NAME", help="the provider that the legacy type becomes"
        )
        parser.add_argument(
            "--subject",
            action="append",
            default=[],
            metavar="[PROVIDER=]CLAIM",
            help="the stored claim by which a provider of another app names people, or uid for the account's own id:"
            " --subject microsoft=uid",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="report what would be done and write nothing"
        )
        parser.add_argument(
            "--batch-size", type=_count(MAX_BATCH_SIZE), default=BATCH_SIZE, help="rows of one transaction"
        )
        parser.add_argument("--limit", type=_count(), help="rows of each kind at most")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="delete old identities and accounts whose new ones were read back",
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="the report as JSON")

    def handle(self, *args: Any, as_json: bool, verbosity: int, **options: Any) -> None:
        wanted = Options(
            provider=options["provider"],
            dry_run=options["dry_run"],
            batch_size=options["batch_size"],
            limit=options["limit"],
            prune=options["prune"],
        )
        try:
            with show_progress(self.stderr, is_shown=verbosity > 0) as progress:
                report = migrate(_source(options), wanted, progress)
        except (MigrationStopped, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(report.as_dict()) if as_json else _as_text(report))
        if report.failed:
            raise CommandError(f"{report.failed} rows could not be moved. They stay where they are.")


def _source(options: dict[str, Any]) -> Source:
    models = Models.of()
    subjects = SubjectRules.parse(options["subject"])
    if subjects.claims and options["source"] not in ("allauth", "social-auth"):
        raise CommandError("--subject is for the accounts of other apps: --source allauth or social-auth.")
    match options["source"]:
        case "redis":
            url = options["url"] or os.environ.get(URL_VARIABLE)
            if not url:
                raise CommandError(f"--source redis needs --url, or {URL_VARIABLE}.")
            return RedisSource(
                models,
                url=url,
                prefix=options["prefix"],
                prune=options["prune"],
                dry_run=options["dry_run"],
            )
        case "allauth":
            return AllauthSource(
                models, subjects=subjects, prune=options["prune"], dry_run=options["dry_run"]
            )
        case "social-auth":
            return SocialAuthSource(
                models, subjects=subjects, prune=options["prune"], dry_run=options["dry_run"]
            )
    return TableSource(models)


def _as_text(report: Report) -> str:
    moved, added = ("would be moved", "would be added") if report.dry_run else ("moved", "added")
    lines = [
        f"{report.source}: {report.read} rows read, {report.moved} {moved} ({report.dead} of deactivated users),"
        f" {report.existed} had a newer row, {report.unclaimed} not claimed, {report.failed} failed",
        f"identities: {report.identities.added} {added}, {report.identities.existed} there already,"
        f" {report.identities.pruned} old ones pruned",
    ]
    if report.newer:
        lines.append(
            f"{report.newer} keys upstream:<session>:<provider> of a newer format are left as they are"
        )
    if report.remaining is not None:
        lines.append(f"rows that still wait: {report.remaining}")
    lines += [f"  {count} x {reason}: {EXPLAINED[reason]}" for reason, count in report.reasons.most_common()]
    lines += [f"  {problem.key} {problem.reason}" for problem in report.problems]
    if report.failed > len(report.problems):
        lines.append(f"  … and {report.failed - len(report.problems)} more")
    lines.append(f"{report.seconds:.1f} s, {report.read / max(report.seconds, 0.001):.0f} rows/s")
    return "\n".join(lines)
