"""``manage.py lazyauth_init``: the settings and keys of a new site."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from django_lazyauth.conf.kinds import ISSUER
from django_lazyauth.conf.setting import read
from django_lazyauth.management import new_site
from django_lazyauth.management.new_site import PASSWORD, NewSite
from django_lazyauth.management.terminal import Terminal
from django_lazyauth.openid.presets import PRESETS
from django_lazyauth.users.subjects import are_clients_here

ON_THIS_MACHINE: Final = "http://127.0.0.1:8000/"


class Command(Terminal):
    help = (
        "Ask for the issuer and the providers, and print the LAZYAUTH block for the settings. On stderr it prints the "
        "environment with new keys, or writes it to --env-file, and the next steps."
    )
    example = "lazyauth_init --no-input --provider google --env-file .env >> mysite/settings.py"
    #: There is no LAZYAUTH yet.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--issuer", metavar="URL", help=f"what clients know this site by; default: {ON_THIS_MACHINE}"
        )
        parser.add_argument(
            "--provider",
            action="append",
            metavar="NAME",
            help="a preset, password, or NAME=ISSUER of any OpenID provider; may be repeated; default: password",
        )
        parser.add_argument(
            "--env-file",
            type=Path,
            metavar="PATH",
            help="write the keys to this new file and do not print them",
        )
        parser.add_argument(
            "--no-input", action="store_false", dest="interactive", help="ask nothing, for scripts"
        )

    def handle(
        self,
        *args: Any,
        issuer: str | None,
        provider: list[str] | None,
        env_file: Path | None,
        interactive: bool,
        **options: Any,
    ) -> None:
        if interactive and issuer is None:
            issuer = self.ask(f"Issuer, the URL of this site [{ON_THIS_MACHINE}]:")
        if interactive and provider is None:
            self.stderr.write(f"Presets: {' '.join(sorted(PRESETS))}", style_func=str)
            provider = self.ask(f"Providers, with blanks between them [{PASSWORD}]:").split()
        site = NewSite(
            _issuer(issuer or ON_THIS_MACHINE),
            dict(self._provider(one, ask=interactive) for one in provider or [PASSWORD]),
            are_clients_here(),
        )
        environment = new_site.environment(site)
        if env_file is not None:
            _write_new(env_file, environment)
        self.stdout.write(f"\n{new_site.settings_block(site)}", ending="")
        if env_file is None:
            # Not on stdout: that is appended to a settings module, which is Python and in a repository.
            self.stderr.write(f"\n# .env\n{environment}", style_func=str)
        for line in new_site.next_steps(site):
            self.stderr.write(line, style_func=str)

    def _provider(self, given: str, *, ask: bool) -> tuple[str, str]:
        """Return the name and the issuer of what ``--provider`` says."""
        name, _, issuer = given.partition("=")
        # It becomes a part of names of environment variables.
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name):
            raise CommandError(
                f"{name} is no name of a provider: lower-case letters and digits", returncode=2
            )
        if not new_site.needs_issuer(name):
            return name, ""
        if not issuer and ask:
            issuer = self.ask(f"Issuer of {name}, an https URL:")
        if not issuer:
            known = f"; presets are {', '.join(sorted(PRESETS))}" if name not in PRESETS else ""
            raise CommandError(f"say where {name} is: --provider {name}=https://…{known}", returncode=2)
        return name, _issuer(issuer)


def _issuer(text: str) -> str:
    try:
        found = read(ISSUER, text, "issuer")
    except ImproperlyConfigured:
        raise CommandError(f"an issuer is {ISSUER.words}", returncode=2) from None
    if set(found) & set("\"'\\{}$`<>"):
        raise CommandError("an issuer has no quotes, braces or backslashes", returncode=2)
    return found


def _write_new(path: Path, text: str) -> None:
    """Write a file that its owner alone may read.

    Raises:
        CommandError: It exists, and may hold keys that are in use; or it cannot be written.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{path} exists, and may hold keys that are in use", returncode=1) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", returncode=1) from None
