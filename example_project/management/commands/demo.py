"""``manage.py demo``: see ``example_project.demo``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import jwt
import requests
from authlib.integrations.base_client import OAuthError
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from example_project.demo import DemoError, play
from example_project.servers import ProcessError

#: What a client meets when a server does not do its part.
DEVIATIONS = (
    DemoError,
    ProcessError,
    OAuthError,
    requests.RequestException,
    jwt.InvalidTokenError,
    LookupError,
)


class Command(BaseCommand):
    help = "Plays the whole flow against real processes and checks every step."
    requires_system_checks = []

    def handle(self, **options: Any) -> None:
        console = Console(highlight=False)
        with tempfile.TemporaryDirectory(prefix="lazyauth-demo-") as directory:
            try:
                play(console, Path(directory))
            except DEVIATIONS as error:
                logged = last_lines(Path(directory, "site.log"))
                raise CommandError(f"The demo failed. {type(error).__name__}: {error}{logged}") from error


def last_lines(log: Path) -> str:
    """Return what the site said before the end."""
    if not log.exists():
        return ""
    return "\n".join(["\n\nThe site's log:", *log.read_text(errors="replace").splitlines()[-15:]])
